"""What operators watch, for Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

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
POLL_LAG = Histogram(
    "area_poll_lag_seconds",
    "From the moment at which a watched source was due to the moment at which a scheduler took it, by kind",
    ["kind"],
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 15, 60, 300),
)
FENCED = Counter("area_fenced_writes", "Late writes of a worker that had lost its lease, refused")
SWEPT = Counter("area_runs_swept", "Waiting runs that were found in Postgres and not by the doorbell", ["by"])
FEED_LAG = Histogram(
    "area_feed_lag_seconds",
    "From the writing of a run's line to its hand-over to a live subscriber",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
)
LIVE = Gauge("area_runs_live", "Runs that have not ended, by status; the same in every process", ["status"])
OLDEST = Gauge(
    "area_runs_oldest_seconds",
    "Age of the oldest run that has not ended, by status; of those queued, of those that may begin and have not",
    ["status"],
)
OVERDUE = Gauge("area_hooks_overdue", "Watched sources that are due and that no scheduler has taken yet")
OVERDUE_SECONDS = Gauge("area_hooks_overdue_seconds", "How long the longest of them has been due")
BROKEN = Gauge("area_hooks_broken", "Watched sources whose last looks failed")
