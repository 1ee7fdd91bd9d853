"""Structured logs: coloured lines for people, JSON lines for collectors."""

import logging
import sys

import structlog


def configure(level: str = "INFO", *, json: bool = False) -> None:
    """Set up structlog and the standard library's logging for this process."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Plain tracebacks: the rich ones print local variables, and those hold tokens.
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    last: list[structlog.types.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()] if json else [console]
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=max(number, logging.WARNING), stream=sys.stderr, format="%(levelname)s %(name)s %(message)s"
    )
    # Its pool tells each try at a Postgres that is away, with a traceback; those who wanted a connection tell it once.
    logging.getLogger("asyncpg.pool").setLevel(max(number, logging.ERROR))
    # SAQ warns at every stop that its idle listeners were cancelled, which is how they end.
    logging.getLogger("saq").setLevel(max(number, logging.ERROR))


def get(name: str) -> structlog.typing.FilteringBoundLogger:
    """The logger of one module."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(name)
    return logger
