"""A server that streams a token every few milliseconds, and takes its time over long prompts: python fake_server.py PORT"""

import asyncio
import json
import sys

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route


async def completions(request: Request) -> StreamingResponse:
    body = await request.json()

    async def events():
        await asyncio.sleep(len(body["prompt"]) / 1e6)
        for i in range(body["max_tokens"]):
            yield f"data: {json.dumps({'choices': [{'text': ' é' + str(i)}]}, ensure_ascii=False)}\n\n".encode()
            await asyncio.sleep(0.001)
        usage = {"prompt_tokens": 1, "completion_tokens": body["max_tokens"]}
        yield f"data: {json.dumps({'choices': [], 'usage': usage})}\n\ndata: [DONE]\n\n".encode()

    return StreamingResponse(events(), media_type="text/event-stream")


async def ready(request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")


if __name__ == "__main__":
    import uvicorn

    app = Starlette(routes=[Route("/ready", ready), Route("/v1/completions", completions, methods=["POST"])])
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
