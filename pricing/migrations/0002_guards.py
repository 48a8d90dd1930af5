"""A published version says the same for ever, and so do its charges, feeds and grants."""

from django.db import migrations

GUARD = """
CREATE FUNCTION pricing_version_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status = 'DRAFT' THEN
        RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.status = 'PUBLISHED' AND NEW.status = 'RETIRED'
        AND to_jsonb(OLD) - 'status' = to_jsonb(NEW) - 'status' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a published rate plan version never changes'
        USING ERRCODE = 'integrity_constraint_violation', HINT = 'Begin the next draft.';
END $$;
CREATE TRIGGER pricing_version_frozen BEFORE UPDATE OR DELETE ON pricing_rateplanversion
    FOR EACH ROW EXECUTE FUNCTION pricing_version_frozen();
ALTER TABLE pricing_rateplanversion ENABLE ALWAYS TRIGGER pricing_version_frozen;

CREATE FUNCTION pricing_part_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    versions bigint[];
BEGIN
    IF TG_TABLE_NAME = 'pricing_chargemetric' THEN
        SELECT array_agg(version_id) INTO versions FROM pricing_charge
            WHERE id IN (
                CASE WHEN TG_OP <> 'INSERT' THEN (to_jsonb(OLD) ->> 'charge_id')::bigint END,
                CASE WHEN TG_OP <> 'DELETE' THEN (to_jsonb(NEW) ->> 'charge_id')::bigint END);
    ELSE
        versions := ARRAY[
            CASE WHEN TG_OP <> 'INSERT' THEN (to_jsonb(OLD) ->> 'version_id')::bigint END,
            CASE WHEN TG_OP <> 'DELETE' THEN (to_jsonb(NEW) ->> 'version_id')::bigint END];
    END IF;
    -- The shared lock makes a part that is written while its version is being published wait for
    -- the publishing, and the publishing wait for the part; the statement after it sees the outcome.
    PERFORM FROM pricing_rateplanversion WHERE id = ANY(versions) ORDER BY id FOR SHARE;
    IF EXISTS (
        SELECT FROM pricing_rateplanversion WHERE id = ANY(versions) AND status <> 'DRAFT'
    ) THEN
        RAISE EXCEPTION 'a published rate plan version never changes'
            USING ERRCODE = 'integrity_constraint_violation', HINT = 'Begin the next draft.';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER pricing_charge_frozen BEFORE INSERT OR UPDATE OR DELETE ON pricing_charge
    FOR EACH ROW EXECUTE FUNCTION pricing_part_frozen();
CREATE TRIGGER pricing_chargemetric_frozen BEFORE INSERT OR UPDATE OR DELETE
    ON pricing_chargemetric FOR EACH ROW EXECUTE FUNCTION pricing_part_frozen();
CREATE TRIGGER pricing_granttemplate_frozen BEFORE INSERT OR UPDATE OR DELETE
    ON pricing_granttemplate FOR EACH ROW EXECUTE FUNCTION pricing_part_frozen();
ALTER TABLE pricing_charge ENABLE ALWAYS TRIGGER pricing_charge_frozen;
ALTER TABLE pricing_chargemetric ENABLE ALWAYS TRIGGER pricing_chargemetric_frozen;
ALTER TABLE pricing_granttemplate ENABLE ALWAYS TRIGGER pricing_granttemplate_frozen;

CREATE FUNCTION pricing_metric_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.livemode, OLD.code, OLD.aggregation, OLD.property, OLD.filters)
            IS DISTINCT FROM (NEW.livemode, NEW.code, NEW.aggregation, NEW.property, NEW.filters)
        AND EXISTS (
            SELECT FROM pricing_chargemetric f
            JOIN pricing_charge c ON c.id = f.charge_id
            JOIN pricing_rateplanversion v ON v.id = c.version_id
            WHERE f.metric_id = OLD.id AND v.status <> 'DRAFT'
        ) THEN
        RAISE EXCEPTION 'a metric that a published plan prices keeps its aggregation'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER pricing_metric_frozen BEFORE UPDATE ON pricing_metric
    FOR EACH ROW EXECUTE FUNCTION pricing_metric_frozen();
ALTER TABLE pricing_metric ENABLE ALWAYS TRIGGER pricing_metric_frozen;

CREATE FUNCTION pricing_rateplan_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.livemode, OLD.code, OLD.currency)
            IS DISTINCT FROM (NEW.livemode, NEW.code, NEW.currency)
        AND EXISTS (
            SELECT FROM pricing_rateplanversion WHERE plan_id = OLD.id AND status <> 'DRAFT'
        ) THEN
        RAISE EXCEPTION 'a published rate plan keeps its code and currency'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER pricing_rateplan_frozen BEFORE UPDATE ON pricing_rateplan
    FOR EACH ROW EXECUTE FUNCTION pricing_rateplan_frozen();
ALTER TABLE pricing_rateplan ENABLE ALWAYS TRIGGER pricing_rateplan_frozen;

-- What a campaign promises is edited while it is a draft; afterwards only its state and counters.
CREATE FUNCTION pricing_campaign_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a campaign that left its draft keeps what it promises'
        USING ERRCODE = 'integrity_constraint_violation', HINT = 'End it and draft another one.';
END $$;
CREATE TRIGGER pricing_campaign_frozen
    BEFORE UPDATE OF livemode, code, name, trigger, redemption_code, milestone_metric_id,
        milestone_quantity, match_percent, max_per_top_up, audience, audience_list, starts_at,
        ends_at, kind, amount, currency, quantity, metric_id, expires_after_days, expires_at,
        priority, budget, max_grants, max_per_customer ON pricing_campaign
    FOR EACH ROW WHEN (OLD.status <> 'DRAFT') EXECUTE FUNCTION pricing_campaign_frozen();
ALTER TABLE pricing_campaign ENABLE ALWAYS TRIGGER pricing_campaign_frozen;
"""

REVERSE = """
DROP TRIGGER pricing_campaign_frozen ON pricing_campaign;
DROP FUNCTION pricing_campaign_frozen();
DROP TRIGGER pricing_rateplan_frozen ON pricing_rateplan;
DROP FUNCTION pricing_rateplan_frozen();
DROP TRIGGER pricing_metric_frozen ON pricing_metric;
DROP FUNCTION pricing_metric_frozen();
DROP TRIGGER pricing_granttemplate_frozen ON pricing_granttemplate;
DROP TRIGGER pricing_chargemetric_frozen ON pricing_chargemetric;
DROP TRIGGER pricing_charge_frozen ON pricing_charge;
DROP FUNCTION pricing_part_frozen();
DROP TRIGGER pricing_version_frozen ON pricing_rateplanversion;
DROP FUNCTION pricing_version_frozen();
"""


class Migration(migrations.Migration):
    dependencies = [("pricing", "0001_initial")]
    operations = [migrations.RunSQL(GUARD, REVERSE)]
