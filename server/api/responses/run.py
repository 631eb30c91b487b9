"""A request becomes a plan and a draft; the plan runs, and the draft is finished."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from server.api.responses.context import archive_for, look_up
from server.api.responses.events import EventEmitter
from server.api.responses.ids import new_ids
from server.api.responses.output import Record
from server.api.responses.request import to_wish
from server.api.responses.response import LOGPROBS, Draft, shown_event
from server.api.responses.types.request import ResponseRequest
from server.chat.loop import GenerationPlan, prepare
from server.chat.tools.approvals import consume_decisions, record_request
from server.core.errors import bad_request
from server.core.events import ApprovalRequested
from server.core.messages import Json
from server.core.request import Caller
from server.core.timing import TimingObserver
from server.http.context import RequestContext

ENDINGS = frozenset({"response.completed", "response.incomplete"})


@dataclass(frozen=True, kw_only=True)
class Work:
    draft: Draft
    plan: GenerationPlan
    record: Record

    @property
    def include(self) -> list[str]:
        return [*(self.draft.body.include or ())]

    def spoken(self, body: Json) -> list[Json]:
        """What belongs into its conversation. A response that has failed adds nothing there."""
        return [] if body["status"] == "failed" else [*self.draft.context.items, *body["output"]]

    async def events(self, watch: TimingObserver) -> AsyncGenerator[Json]:
        """What happens, in the words of this API and without numbers. The last one (ENDINGS) has the whole Response, also what
        `include` does not ask for. Closing it aborts everything. Raises ApiError."""
        teller = EventEmitter(
            self.record, self.plan.runtime.tokenizer, logprobs=LOGPROBS in self.include, summary=self.draft.summary is not None
        )
        async with aclosing(self.plan.run(watch)) as arriving:
            async for _, event in arriving:
                heard = teller.hear(event)
                if isinstance(event, ApprovalRequested):  # before the client reads it
                    await record_request(self.plan.runtime, self.record.output[-1]["id"], event, self.draft.owner)
                for told in heard:
                    yield shown_event(told, self.include)
        assert teller.ended is not None  # a plan's last event
        yield ending(self.draft.finished(self.record.output, teller.ended))


async def begin(call: RequestContext, body: ResponseRequest) -> Work:
    """Raises ApiError for what cannot be honoured."""
    _expect_sense(body)
    if body.store or body.background:
        archive_for(call.runtime, "store" if body.store else "background")
    ids = new_ids()
    context = await look_up(call.runtime, body, call.owner, ids)
    plan = await prepare(call.runtime, to_wish(call.runtime, body, context), Caller(owner=call.owner))
    await consume_decisions(call.runtime, plan.request.approval_decisions, call.owner)
    draft = Draft(
        ids=ids,
        owner=call.owner,
        created=plan.created,
        model=call.runtime.names[0],
        body=body,
        context=context,
        stored=body.store is not False and call.runtime.archive is not None,
    )
    return Work(draft=draft, plan=plan, record=Record(ids))


def numbered(number: int, event: Json) -> str:
    """JSON text of an event: `type` and `sequence_number` first."""
    return json.dumps({"type": event["type"], "sequence_number": number, **event})


def framed(text: str) -> bytes:
    """`text` as `numbered` made it; its type becomes the name of the event."""
    name = text[len('{"type": "') : text.index('"', len('{"type": "'))]
    return f"event: {name}\ndata: {text}\n\n".encode()


def ending(body: Json) -> Json:
    """The event that tells of a finished response. OpenAI's specification has none for one that was cancelled (`response.cancelled`
    is a webhook there), and the SDK takes an unknown type for the first that it knows. Of those that end a stream, incomplete says
    what it is: broken off, with what had been made. It is no failure; the Response in it says that it was cancelled."""
    status = "incomplete" if body["status"] == "cancelled" else body["status"]
    return {"type": f"response.{status}", "response": body}


def _expect_sense(body: ResponseRequest) -> None:
    if body.background and body.store is False:
        raise bad_request("store", "store: a response in the background must be stored, or nobody could read it")
    if body.stream_options is not None and not body.stream:
        raise bad_request("stream_options", "stream_options needs stream: true")
