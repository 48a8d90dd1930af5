-- The two roles of production: the owner migrates, the application does everything else.
--
-- Run it as a superuser in Aforo's database, before the first migration and again after each one:
--     psql DATABASE -f docs/production.sql
--     DATABASE_URL=postgres://aforo_owner:...   uv run manage.py migrate
--     psql DATABASE -f docs/production.sql
--     DATABASE_URL=postgres://aforo_app:...     everything else
-- Give both a password (ALTER ROLE ... PASSWORD). Safe to repeat.
--
-- The application can neither rewrite history nor switch off what forbids it: it owns no table, so
-- it may not disable a trigger; it may not TRUNCATE; and of append-only tables it has neither
-- UPDATE nor DELETE, apart from the triggers that refuse both.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'aforo_owner') THEN
        CREATE ROLE aforo_owner LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'aforo_app') THEN
        CREATE ROLE aforo_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
    END IF;
END $$;

-- Bounded waits: a request that cannot have its lock is told 503 and may be repeated.
ALTER ROLE aforo_app SET lock_timeout = '5s';
ALTER ROLE aforo_app SET statement_timeout = '120s';
ALTER ROLE aforo_app SET idle_in_transaction_session_timeout = '60s';
ALTER ROLE aforo_owner SET lock_timeout = '5s';

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO aforo_owner;
GRANT USAGE ON SCHEMA public TO aforo_app;

-- For the tables that are there, and for those that migrations will make.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO aforo_app;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO aforo_app;
ALTER DEFAULT PRIVILEGES FOR ROLE aforo_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO aforo_app;
ALTER DEFAULT PRIVILEGES FOR ROLE aforo_owner IN SCHEMA public
    GRANT USAGE, SELECT ON SEQUENCES TO aforo_app;

-- Append-only tables are those whose trigger says so; what migrations did is the owner's to say.
DO $$
DECLARE
    name regclass;
BEGIN
    FOR name IN
        SELECT DISTINCT t.tgrelid::regclass FROM pg_trigger t
        JOIN pg_proc p ON p.oid = t.tgfoid WHERE p.proname = 'ledger_append_only'
    LOOP
        EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON %s FROM aforo_app', name);
    END LOOP;
    -- Of a tax rate only its end is ever written.
    IF to_regclass('billing_taxrate') IS NOT NULL THEN
        REVOKE UPDATE, DELETE ON billing_taxrate FROM aforo_app;
        GRANT UPDATE (valid_until) ON billing_taxrate TO aforo_app;
    END IF;
    -- Its triggers write the audit trail with the owner's rights; nobody else does.
    IF to_regclass('access_configurationchange') IS NOT NULL THEN
        REVOKE INSERT ON access_configurationchange FROM aforo_app;
    END IF;
    IF to_regclass('django_migrations') IS NOT NULL THEN
        REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM aforo_app;
    END IF;
END $$;
