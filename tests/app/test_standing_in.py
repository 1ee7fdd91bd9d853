"""The stand-ins beside `area dev`."""

import httpx
import pytest

from area.app import standing_in as module
from area.app.processes import EmbeddedError
from area.app.standing_in import standing_in


def test_they_run_and_things_can_be_made_to_happen_there() -> None:
    with standing_in() as world:
        assert world.environment["AREA_TWITCH_BASE_URL"].startswith("http://127.0.0.1:")
        page = httpx.get(world.page).text
        assert "Ada Lovelace goes live" in page
        done = httpx.post(f"{world.page}/twitch/0")
        base = world.environment["AREA_TWITCH_BASE_URL"]
    assert done.status_code == 303
    with pytest.raises(httpx.ConnectError):
        httpx.get(base)


def test_outside_a_checkout_it_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(module, "ROOT", tmp_path)
    with pytest.raises(EmbeddedError, match="run this in a checkout"), standing_in():
        pass
