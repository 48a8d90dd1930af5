"""The audit trail of configuration: its table, and the function by which triggers write it.

Who changes a row stands in the setting `aforo.actor` of the transaction; without it the role of the
database is named. The function runs with its owner's rights, so that the application can record
what it does and nothing else.
"""

from django.db import migrations, models

# Arguments: columns that are counters; columns that are secret or personal; how to find the row
# that knows the mode, `column=table` for each step up.
RECORD = """
CREATE FUNCTION access_record_change() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    counters text[] := string_to_array(TG_ARGV[0], ' ');
    hidden text[] := string_to_array(TG_ARGV[1], ' ');
    before jsonb := CASE WHEN TG_OP = 'INSERT' THEN '{}' ELSE to_jsonb(OLD) - counters END;
    after jsonb := CASE WHEN TG_OP = 'DELETE' THEN '{}' ELSE to_jsonb(NEW) - counters END;
    this jsonb := before || after;
    parent jsonb := this;
    step text;
    cause jsonb := coalesce(nullif(current_setting('aforo.actor', true), ''), '{}')::jsonb;
BEGIN
    IF before = after THEN
        RETURN NULL;
    END IF;
    FOREACH step IN ARRAY string_to_array(TG_ARGV[2], ' ') LOOP
        EXECUTE format(
            'SELECT to_jsonb(t) FROM %I AS t WHERE t.id = %L',
            split_part(step, '=', 2), parent ->> split_part(step, '=', 1)
        ) INTO parent;
    END LOOP;
    INSERT INTO access_configurationchange (
        changed_at, actor_kind, actor_id, request_id, reason, livemode, customer_id, table_name,
        row_id, label, action, old, new
    ) VALUES (
        clock_timestamp(),
        coalesce(cause ->> 'kind', 'DATABASE'),
        coalesce(cause ->> 'id', session_user::text),
        coalesce(cause ->> 'request', ''),
        coalesce(cause ->> 'reason', ''),
        (parent ->> 'livemode')::boolean,
        coalesce(CASE WHEN this ? 'book_id' THEN parent ->> 'key' END, this ->> 'customer_id', ''),
        TG_TABLE_NAME,
        coalesce(this ->> 'id', this ->> 'code', this ->> 'book_id'),
        left(coalesce((this - hidden) ->> 'code', (this - hidden) ->> 'username',
            (this - hidden) ->> 'name', (this - hidden) ->> 'account_id', ''), 300),
        TG_OP,
        access_shown(before, CASE WHEN TG_OP = 'UPDATE' THEN after ELSE '{}' END, hidden),
        access_shown(after, CASE WHEN TG_OP = 'UPDATE' THEN before ELSE '{}' END, hidden)
    );
    RETURN NULL;
END $$;

-- What of a row differs from another one. Numbers are text, which keeps them exact; what is hidden
-- shows only whether there is anything.
CREATE FUNCTION access_shown(of jsonb, other jsonb, hidden text[]) RETURNS jsonb
    LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(jsonb_object_agg(each.key, CASE
        WHEN each.key = ANY (hidden) AND each.value NOT IN ('null', '""') THEN '"(hidden)"'::jsonb
        WHEN jsonb_typeof(each.value) = 'number'
            THEN to_jsonb(trim_scale((each.value #>> '{}')::numeric)::text)
        ELSE each.value
    END), '{}')
    FROM jsonb_each(of) AS each
    WHERE each.value IS DISTINCT FROM other -> each.key
$$;
"""
NO_RECORD = """
DROP FUNCTION access_record_change();
DROP FUNCTION access_shown(jsonb, jsonb, text[]);
"""


class Migration(migrations.Migration):
    dependencies = [("access", "0003_key_terms")]
    operations = [
        migrations.CreateModel(
            "ConfigurationChange",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("changed_at", models.DateTimeField(db_index=True)),
                ("actor_kind", models.CharField(choices=[("API_KEY", "API_KEY"), ("STAFF", "STAFF"), ("JOB", "JOB"), ("DATABASE", "DATABASE")], max_length=8)),
                ("actor_id", models.CharField(max_length=100)),
                ("request_id", models.CharField(blank=True, max_length=128)),
                ("reason", models.TextField(blank=True)),
                ("livemode", models.BooleanField(help_text="Empty: of both modes.", null=True)),
                ("customer_id", models.CharField(blank=True, max_length=64)),
                ("table_name", models.CharField(max_length=63)),
                ("row_id", models.CharField(max_length=64)),
                ("label", models.CharField(blank=True, max_length=300)),
                ("action", models.CharField(choices=[("INSERT", "Created"), ("UPDATE", "Changed"), ("DELETE", "Deleted")], max_length=6)),
                ("old", models.JSONField(default=dict)),
                ("new", models.JSONField(default=dict)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("action__in", ["INSERT", "UPDATE", "DELETE"])),
                        name="access_configurationchange_action",
                    )
                ]
            },
        ),
        migrations.RunSQL(RECORD, NO_RECORD),
    ]
