"""What Postgres itself notes of every run: who changed it, from what to what. And the clock that it can be told to show."""

import asyncpg

from chaos.cast import names

# Triggers see what the engine's statements do, whichever process sends them; `session_user` is the process.
TABLES = """
CREATE SCHEMA chaos;
CREATE TABLE chaos.transitions (
  number bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL DEFAULT clock_timestamp(),
  who text NOT NULL DEFAULT session_user, run_id uuid NOT NULL, was text NOT NULL, became text NOT NULL,
  fence_was int NOT NULL, fence int NOT NULL, seq_was int NOT NULL, seq int NOT NULL
);
CREATE TABLE chaos.broken (
  at timestamptz NOT NULL DEFAULT clock_timestamp(), who text NOT NULL DEFAULT session_user, run_id uuid, what text NOT NULL
);
CREATE FUNCTION chaos.run_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO chaos.transitions (run_id, was, became, fence_was, fence, seq_was, seq)
  VALUES (NEW.id, OLD.status, NEW.status, OLD.fence, NEW.fence, OLD.last_seq, NEW.last_seq);
  RETURN NULL;
END $$;
CREATE FUNCTION chaos.never() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO chaos.broken (run_id, what)
  VALUES (OLD.run_id, TG_ARGV[0] || ': ' || to_jsonb(OLD)::text || ' -> ' || to_jsonb(NEW)::text);
  RETURN NULL;
END $$;
CREATE TRIGGER chaos_runs AFTER UPDATE ON runs FOR EACH ROW
  WHEN (OLD.status IS DISTINCT FROM NEW.status OR OLD.fence IS DISTINCT FROM NEW.fence OR NEW.last_seq < OLD.last_seq)
  EXECUTE FUNCTION chaos.run_changed();
CREATE TRIGGER chaos_steps AFTER UPDATE ON run_steps FOR EACH ROW
  WHEN (OLD.status IN ('succeeded', 'failed', 'skipped')
    AND (OLD.status, OLD.output, OLD.effect) IS DISTINCT FROM (NEW.status, NEW.output, NEW.effect))
  EXECUTE FUNCTION chaos.never('a step that had ended changed');
CREATE TRIGGER chaos_lines AFTER UPDATE ON run_events FOR EACH ROW EXECUTE FUNCTION chaos.never('a line of the log changed');
"""

# An unqualified now() finds this one first: leases, timers and schedules believe it. The audit's own clock is another.
CLOCK = """
CREATE TABLE chaos.clock (ahead interval NOT NULL);
INSERT INTO chaos.clock VALUES (interval '0');
CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT pg_catalog.now() + ahead FROM chaos.clock';
ALTER TABLE runs ALTER created_at SET DEFAULT public.now();
ALTER TABLE events ALTER received_at SET DEFAULT public.now();
ALTER DATABASE area SET search_path = public, pg_catalog;
"""


async def prepare(connection: asyncpg.Connection, roles: list[str]) -> None:
    """Set the audit up, and a database role for each process that may start."""
    await connection.execute(TABLES)
    await connection.execute(CLOCK)
    logins = [f'CREATE ROLE "{name}" LOGIN SUPERUSER' for role in roles for name in names(role)]
    await connection.execute("; ".join(logins))


async def step_clock(connection: asyncpg.Connection, seconds: float) -> None:
    """Let Postgres believe that it is later by ``seconds`` than it is."""
    await connection.execute("UPDATE chaos.clock SET ahead = make_interval(secs => $1)", seconds)
