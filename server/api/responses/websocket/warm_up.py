"""`generate: false`: the prompt is computed, so that it is in the prefix cache, and nothing is generated."""

from collections.abc import AsyncGenerator

from engine.api import Request, Sampling, Usage
from server.api.responses.events.sse import final_event
from server.api.responses.run import ResponseRun, store_finished
from server.core.errors import ErrorFields, engine_errors_as_api_errors
from server.core.events import AnswerFinished
from server.core.messages import Json


async def warm_up(run: ResponseRun) -> AsyncGenerator[Json]:
    """The events of a response without output, which can be gone on from. Raises ApiError."""
    usage = await _compute(run)
    begun = run.builder.build("in_progress")
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for event in run.items.take_events():
        yield event
    body = run.builder.build_finished(run.items.output, AnswerFinished(reason="stop", usage=usage))
    await store_finished(run, body)
    yield final_event(body)


async def _compute(run: ResponseRun) -> Usage:
    plan = run.plan
    prompt, sampling = plan.first_turn.prompt, Sampling(max_tokens=0, stop_tokens=plan.runtime.tokenizer.stop_tokens)
    request = Request(tokens=prompt.tokens, encoder=prompt.encoder, sampling=sampling)
    usage = Usage(prompt=prompt.length, completion=0, cached=0)
    with engine_errors_as_api_errors(ErrorFields(prompt="input", grammar="text.format")):
        async for delta in plan.runtime.engine.generate(request):
            usage = delta.usage or usage
    return usage
