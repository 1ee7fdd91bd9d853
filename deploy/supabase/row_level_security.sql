-- The database repeats who owns what (law 9): through Supabase's API a signed-in user reads his own rows, and nobody writes.
-- Run it as the tables' owner after `area migrate`, and again after each release; it may be run any number of times.
-- The platform connects as the owner, which policies without FORCE do not bind. Secrets are not readable at all.

DO $$
DECLARE
  item record;
BEGIN
  -- Closed first: every table of ours, partitions included, and whatever a later release adds.
  FOR item IN SELECT c.relname FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', item.relname);
    EXECUTE format('REVOKE ALL ON %I FROM anon, authenticated', item.relname);
  END LOOP;
  -- Then opened for reading, column by column where a table holds secrets.
  FOR item IN SELECT * FROM (VALUES
    ('users', 'id = auth.uid()', 'id, email, display_name, created_at'),
    ('areas', 'user_id = auth.uid()', NULL),
    ('area_versions', 'EXISTS (SELECT 1 FROM areas a WHERE a.id = area_id AND a.user_id = auth.uid())', NULL),
    ('connected_accounts', 'user_id = auth.uid()', 'id, user_id, service, label, status, scopes, expires_at, last_used_at, created_at'),
    ('runs', 'user_id = auth.uid()', NULL),
    ('run_steps', 'EXISTS (SELECT 1 FROM runs r WHERE r.id = run_id AND r.user_id = auth.uid())', NULL),
    ('approvals', 'EXISTS (SELECT 1 FROM runs r WHERE r.id = run_id AND r.user_id = auth.uid())', NULL),
    ('calls', 'EXISTS (SELECT 1 FROM runs r WHERE r.id = run_id AND r.user_id = auth.uid())', NULL),
    ('run_events', 'user_id = auth.uid()', NULL),
    ('deliveries', 'user_id = auth.uid()', NULL)
  ) AS t(name, owned, columns) LOOP
    EXECUTE format('DROP POLICY IF EXISTS owner_reads ON %I', item.name);
    EXECUTE format('CREATE POLICY owner_reads ON %I FOR SELECT TO authenticated USING (%s)', item.name, item.owned);
    EXECUTE format('GRANT SELECT %s ON %I TO authenticated', coalesce('(' || item.columns || ')', ''), item.name);
  END LOOP;
END
$$;
