"""``area watch``: the account's live feed in a terminal, by the same subscription that a browser would use."""

import asyncio
import itertools
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import orjson
from rich.console import Console
from rich.text import Text
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from area.core.errors import CommandError

PROTOCOL = Subprotocol("graphql-transport-ws")
SIGN_IN = """
    mutation Watch($input: SignInInput!) {
      signIn(input: $input) { session { accessToken } errors { message } }
    }
"""
FEED = """
    subscription Watch($after: String) {
      feed(after: $after) { cursor events { at level kind message stepKey attributes area { name } } }
    }
"""
DOCUMENTS = (SIGN_IN, FEED)
"""Trusted without being registered."""
STYLES = {"DEBUG": "dim", "INFO": "", "WARNING": "yellow", "ERROR": "bold red"}
WAITS = (0.5, 1.0, 2.0, 5.0)
REFUSED = (4400, 4401, 4403)


SHOWN = 400
"""Most characters of an input or output that one line shows."""


class WatchError(CommandError):
    """Watching cannot go on; the message says why and what to do."""


async def sign_in(url: str, email: str, password: str) -> str:
    """An access token. Raises: WatchError."""
    body = {"query": SIGN_IN, "variables": {"input": {"email": email, "password": password}}}
    try:
        async with httpx.AsyncClient(timeout=10) as client:
            answer = (await client.post(f"{url}/graphql", json=body)).json()
    except (httpx.HTTPError, ValueError) as error:
        raise WatchError(f"{url} does not answer as an AREA API ({error}); start `area dev`, or give --url.") from None
    payload = (answer.get("data") or {}).get("signIn") or {}
    problems = [problem["message"] for problem in payload.get("errors") or answer.get("errors") or []]
    if problems:
        raise WatchError(f"{email} could not be signed in: {' '.join(problems)}")
    token: str = payload["session"]["accessToken"]
    return token


async def watch(url: str, email: str, password: str, console: Console, api_token: str | None = None) -> None:
    """Print events until cancelled; after a lost connection go on where it stopped. Raises: WatchError."""
    token = api_token or await sign_in(url, email, password)
    console.print(f"Watching {url} {'by API token' if api_token else f'as {email}'}. Ctrl-C stops.", style="dim")
    address = urlsplit(url)
    socket_url = urlunsplit(("wss" if address.scheme == "https" else "ws", address.netloc, "/graphql", "", ""))
    after: str | None = None
    for attempt in itertools.count():
        try:
            async with connect(socket_url, subprotocols=[PROTOCOL]) as connection:
                async for batch in _batches(connection, token, after):
                    for event in batch["events"]:
                        console.print(line(event), soft_wrap=True)
                    after = batch["cursor"]
        except ConnectionClosed as error:
            code = error.rcvd.code if error.rcvd else 1006
            if code in REFUSED and api_token:
                why = error.rcvd.reason if error.rcvd else "refused"
                raise WatchError(
                    f"The API does not take this token ({why}); create another with `createApiToken`."
                ) from None
            if code in REFUSED:
                token = await sign_in(url, email, password)
        except (OSError, InvalidHandshake) as error:
            console.print(f"The connection is lost ({error}); trying again.", style="dim")
        await asyncio.sleep(WAITS[min(attempt, len(WAITS) - 1)])


async def _batches(connection: ClientConnection, token: str, after: str | None) -> Any:
    async def send(message: dict[str, Any]) -> None:
        await connection.send(orjson.dumps(message).decode())

    await send({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}})
    async for raw in connection:
        message = orjson.loads(raw)
        match message["type"]:
            case "connection_ack":
                query = {"query": FEED, "variables": {"after": after}}
                await send({"type": "subscribe", "id": "1", "payload": query})
            case "ping":
                await send({"type": "pong"})
            case "error":
                raise WatchError(f"The API refused to be watched: {message['payload'][0]['message']}")
            case "complete":
                return
            case "next":
                answer = message["payload"]
                if answer.get("errors"):
                    raise WatchError(f"The feed broke off: {answer['errors'][0]['message']}")
                yield answer["data"]["feed"]


def line(event: dict[str, Any]) -> Text:
    """One event as one line: when, what, which AREA and step, the message."""
    style = STYLES.get(event["level"], "")
    text = Text(event["at"][11:19] + " ", style="dim")
    text.append(f"{(event.get('area') or {}).get('name', '?')} ", "cyan")
    if event["stepKey"]:
        text.append(f"[{event['stepKey']}] ", "magenta")
    text.append(event["message"], style)
    data = event["attributes"]
    for name in ("input", "output"):
        if name in data:
            shown = orjson.dumps(data[name]).decode()
            text.append(f"\n         {name} {shown[:SHOWN]}{'…' if len(shown) > SHOWN else ''}", "dim")
    return text
