"""What the platform talks to while it is measured: a sink for outgoing calls, and a raw route to compare with."""

import asyncio
import sys
import time

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

delays: list[float] = []
watched = {"value": 0, "asked": 0}


async def sink(request: Request) -> Response:
    """Take a call; where its body says when its event was sent, note how long that took."""
    arrived = time.time()
    body = orjson.loads(await request.body() or b"{}")
    if body.get("sent"):
        delays.append(arrived - float(body["sent"]))
    return Response(b'{"ok":true}', media_type="application/json")


async def slow(request: Request) -> Response:
    """Take a call, and 100 ms for it."""
    await request.body()
    await asyncio.sleep(0.1)
    return Response(b'{"ok":true}', media_type="application/json")


async def value(request: Request) -> Response:
    """A value that changes when it is told to, for pollers; how often it was asked for is counted."""
    if request.method == "POST":
        watched["value"], watched["asked"] = int(watched["value"]) + 1, 0
    else:
        watched["asked"] += 1
    return Response(orjson.dumps({"value": watched["value"]}), media_type="application/json")


async def asked(_request: Request) -> Response:
    """How often the value was asked for since it changed."""
    return Response(orjson.dumps(watched["asked"]), media_type="application/json")


async def noted(_request: Request) -> Response:
    """The delays noted since the last question, in seconds."""
    answer = Response(orjson.dumps(delays), media_type="application/json")
    delays.clear()
    return answer


async def raw(request: Request) -> Response:
    """The least that an intake could do: parse JSON, answer JSON."""
    body = orjson.loads(await request.body())
    return Response(orjson.dumps({"event": body["n"], "runs": 1}), status_code=202, media_type="application/json")


app = Starlette(
    routes=[
        Route("/sink", sink, methods=["POST"]),
        Route("/slow", slow, methods=["POST"]),
        Route("/value", value, methods=["GET", "POST"]),
        Route("/asked", asked),
        Route("/noted", noted),
        Route("/raw", raw, methods=["POST"]),
    ]
)

if __name__ == "__main__":
    uvicorn.run(
        app, host="127.0.0.1", port=int(sys.argv[1]), http="httptools", loop="uvloop", lifespan="off", backlog=4096,
        access_log=False, log_level="warning",
    )  # fmt: skip
