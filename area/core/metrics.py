"""What operators watch, for Prometheus."""

from prometheus_client import Counter, Histogram

EVENTS = Counter("area_events", "Events by action and what became of them", ["action", "outcome"])
RUNS = Counter("area_runs_finished", "Runs that reached their end, by status", ["status"])
TAKEOVERS = Counter("area_run_takeovers", "Runs taken over from a worker whose lease ran out")
STEPS = Histogram(
    "area_step_seconds",
    "Duration of one attempt of a step, by reaction",
    ["reaction"],
    buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 1, 5, 30),
)
POLLS = Counter("area_polls", "Polls of hooks by action and outcome", ["action", "outcome"])
FENCED = Counter("area_fenced_writes", "Late writes of a worker that had lost its lease, refused")
