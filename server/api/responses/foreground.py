"""A response while its client waits for it: whole, or event by event. It is stored before its end is told."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from starlette.types import Send

from server.api.responses.response import shown, shown_event
from server.api.responses.run import ENDINGS, Work, ending, framed, numbered
from server.core.errors import ApiError
from server.core.messages import Json
from server.core.threads import in_thread
from server.core.timing import TimingObserver
from server.http.sse import send_events, send_json


async def answer(work: Work, send: Send, watch: TimingObserver) -> None:
    if work.draft.body.stream:
        await send_events(send, _stream(work, watch))
    else:
        await send_json(send, 200, json.dumps(shown(await _whole(work, watch), work.include)).encode())


async def _whole(work: Work, watch: TimingObserver) -> Json:
    body: Json = {}
    async with aclosing(work.events(watch)) as events:
        async for event in events:
            body = event.get("response", body)
    await _store(work, body)
    return body


async def _stream(work: Work, watch: TimingObserver) -> AsyncGenerator[bytes]:
    """What fails before the first thing has happened is an answer with a status of its own."""
    number = 0
    async with aclosing(_told(work, watch)) as events:
        async for event in events:
            yield framed(numbered(number, event))
            number += 1


async def _told(work: Work, watch: TimingObserver) -> AsyncGenerator[Json]:
    draft, begun = work.draft, False
    try:
        async with aclosing(work.events(watch)) as events:
            async for event in events:
                if not begun:
                    begun, fresh = True, draft.object("in_progress")
                    yield {"type": "response.created", "response": fresh}
                    yield {"type": "response.in_progress", "response": fresh}
                if event["type"] in ENDINGS:
                    await _store(work, event["response"])
                yield shown_event(event, work.include)
    except ApiError as error:
        if not begun:
            raise
        for event in work.record.cut():
            yield shown_event(event, work.include)
        body = draft.failed(work.record.output, error)
        with suppress(ApiError):  # it may be what has failed
            await _store(work, body)
        yield shown_event(ending(body), work.include)


async def _store(work: Work, body: Json) -> None:
    """A conversation goes on also with a response that is not kept."""
    draft, archive, items = work.draft, work.plan.runtime.archive, work.spoken(body)
    if archive is None:
        return
    if draft.stored:
        await in_thread(archive.put_response, draft.record(body), items)
    elif draft.context.conversation and items:
        await in_thread(archive.extend_conversation, draft.owner, draft.context.conversation, items)
