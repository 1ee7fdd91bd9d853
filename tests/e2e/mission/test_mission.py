"""The mission's example on real processes, as `make demo` tells it."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from area.app.embedded import Embedded
from tests.conftest import SECRET_KEY
from tests.contract.documents import SPECS
from tests.contract.plugin import Contract
from tests.e2e.conftest import empty_database
from tests.e2e.mission.proof import as_told
from tests.e2e.mission.stage import staged
from tests.e2e.mission.story import tell

REDIS_DATABASE = 6
"""Not the one of other stories: their bells are not for our workers."""


async def test_a_stream_goes_live_and_discord_and_the_admins_are_told_once(servers: Embedded, tmp_path: Path) -> None:
    said: list[tuple[str, str]] = []
    redis_url = urlunsplit(urlsplit(servers.redis_url)._replace(path=f"/{REDIS_DATABASE}"))

    async with (
        empty_database(servers) as database_url,
        staged(database_url, redis_url, SECRET_KEY, tmp_path, lambda who, what: said.append((who, what))) as stage,
    ):
        told = await tell(stage)

    as_told(told)
    assert [who for who, _ in said].count("mail") == 2
    for wrong, what in (
        ({"messages": [*told.messages, told.messages[0]]}, "what Discord shows"),
        ({"mails": told.mails[:1]}, "whom the mails are for"),
        ({"runs": [*told.runs, told.runs[0]]}, "the runs"),
    ):
        with pytest.raises(AssertionError, match=what):
            as_told(replace(told, **wrong))
    if SPECS.is_dir():
        # Twitch takes https addresses only; what is sent to subscribe is checked in tests/e2e/services/test_twitch.py.
        Contract("twitch", ["POST /helix/eventsub/subscriptions"]).audit(stage.twitch)
        Contract("discord").audit(stage.discord)
