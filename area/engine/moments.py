"""The moments of a schedule that passed while nobody watched."""

from collections.abc import Callable
from datetime import datetime, timedelta

Following = Callable[[datetime], datetime | None]
"""The first moment strictly after another; None: there is none."""

FINEST = timedelta(seconds=1)
"""Moments of a schedule lie no closer together."""


def missed(following: Following, due: datetime, moment: datetime, most: int) -> list[datetime]:
    """The newest ``most`` of the moments from ``due`` to ``moment``, in their order; ``due`` is one and has passed.

    A schedule for each second that was left alone for a month costs some hundred steps, not millions: where the newest begin is
    searched by halves.
    """
    found = [due, *_from(following, due, moment, most)]
    if len(found) <= most:
        return found
    early, late = due, moment
    while late - early > FINEST:
        middle = early + (late - early) / 2
        if len(_from(following, middle, moment, most)) == most:
            early = middle
        else:
            late = middle
    return _from(following, early, moment, most + 2)[-most:]


def _from(following: Following, after: datetime, moment: datetime, most: int) -> list[datetime]:
    """The first ``most`` moments after ``after`` that have passed."""
    found: list[datetime] = []
    upcoming = following(after)
    while upcoming is not None and upcoming <= moment and len(found) < most:
        found.append(upcoming)
        upcoming = following(upcoming)
    return found
