"""What has to be true when the story is over: exactly what was told, once, and the whole of it live. Test and demo both ask."""

import signal

from tests.e2e.mission.story import ADDRESSES, ADMINS, Told
from tests.providers.discord import HOME, NEWS

NAMES = ["Día 3: ロボット löten (Science & Technology)", "Nachtschicht: «bis zum Morgen» (Fortnite)"]
"""Title and game of each stream: what Twitch does not deliver and has to be asked for."""
BEGUN = ["EVENT_RECEIVED", "RUN_STARTED", "STEP_STARTED"]
RESUMED = ["RUN_RESUMED", "STEP_STARTED"]
DONE = ["STEP_SUCCEEDED", "STEP_STARTED", "STEP_SUCCEEDED", "RUN_SUCCEEDED"]


def as_told(told: Told) -> None:
    """Raise AssertionError unless everything happened, exactly so, and once."""
    _runs(told)
    _messages(told)
    _mails(told)
    _feed(told)


def _messages(told: Told) -> None:
    wanted = [f"🔴 **Ada Lovelace** is live: {name}\n<https://www.twitch.tv/ada>" for name in NAMES]
    _equal([one["content"] for one in told.messages], wanted, "what Discord shows")
    _equal([one["author"]["username"] for one in told.messages], ["AREA", "AREA"], "who posted it")
    _equal(told.posts, 3, "calls to Discord: one for each stream, and one more of the second worker")


def _mails(told: Told) -> None:
    _equal([mail.recipients for mail in told.mails], [ADDRESSES, ADDRESSES], "whom the mails are for")
    _equal([str(mail.message["To"]) for mail in told.mails], [ADMINS, ADMINS], "the mails' names")
    _equal([mail.sender for mail in told.mails], ["ada@example.com"] * 2, "from whose account they are")
    subjects = [f"Ada Lovelace est en direct: {name.partition(' (')[0]}" for name in NAMES]
    _equal([str(mail.message["Subject"]) for mail in told.mails], subjects, "the mails' subjects")
    links = [f"https://discord.com/channels/{HOME}/{NEWS}/{message['id']}" for message in told.messages]
    since = [run["event"]["payload"]["started_at"] for run in told.runs]
    texts = [
        [f"{name}, since {start}.", f"Discord: {link}"] for name, start, link in zip(NAMES, since, links, strict=True)
    ]
    _equal([mail.bodies()["text/plain"].strip().splitlines() for mail in told.mails], texts, "the mails' texts")
    _equal(len({mail.message["Message-ID"] for mail in told.mails}), 2, "mails with an id of their own")


def _feed(told: Told) -> None:
    for stream, kinds in zip(told.streams, (BEGUN + DONE, BEGUN + RESUMED + DONE), strict=True):
        _equal([event["kind"] for event in stream.feed], kinds, "the feed, in order")
        _equal([event["seq"] for event in stream.feed], list(range(1, len(kinds) + 1)), "the feed, with no gap")
        _equal(len({event["run"]["id"] for event in stream.feed}), 1, "runs of a stream in the feed")


def _runs(told: Told) -> None:
    _equal(told.exit_code, -signal.SIGKILL, "how the first worker ended")
    found = [(run["status"], [(one["key"], one["status"]) for one in run["steps"]]) for run in told.runs]
    whole = ("SUCCEEDED", [("tell", "SUCCEEDED"), ("mail", "SUCCEEDED")])
    _equal(found, [whole, whole], "the runs")


def _equal(found: object, wanted: object, what: str) -> None:
    if found != wanted:
        raise AssertionError(f"{what}:\n  found  {found!r}\n  wanted {wanted!r}")
