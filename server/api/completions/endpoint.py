"""POST /v1/completions: the continuation of a prompt. No template is applied; the prompt may contain control tokens."""

from starlette.types import Send

from server.api.completions import types as wire
from server.api.completions.plan import prepare
from server.api.completions.response import generate, stream_chunks
from server.http.context import RequestContext
from server.http.endpoint import Endpoint
from server.http.handlers import body_stream_endpoint
from server.http.sse import send_events, send_json
from server.http.warnings import warning_headers
from server.runtime.serving import Serving


def endpoints(state: Serving) -> list[Endpoint]:
    async def handler(context: RequestContext, body: wire.CompletionRequest, send: Send) -> None:
        plan = await prepare(context.runtime, body, context.owner)
        headers = warning_headers(plan.warnings)
        if body.stream:
            await send_events(send, stream_chunks(plan, state.metrics), headers)
        else:
            await send_json(send, 200, (await generate(plan, state.metrics)).model_dump_json().encode(), headers)

    summary = "The continuation of a prompt"
    return [
        body_stream_endpoint(
            state, handler, "/v1/completions", summary, wire.CompletionRequest, wire.CompletionResponse, streams="text/event-stream"
        )
    ]
