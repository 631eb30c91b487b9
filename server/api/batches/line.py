"""A line of a batch is answered by the endpoint that answers requests, as if its owner had sent it."""

import asyncio
import json
import logging
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from starlette.types import Message, Receive, Scope

from server.archive.batches.records import BatchLine, LineResult, TokenUsage
from server.core.errors import ApiError
from server.core.messages import Json
from server.core.threads import in_thread_if_large
from server.http.endpoint import Endpoint
from server.http.middleware import to_api_error

LOG = logging.getLogger("stoa")
PASSING = (429, 503, 507)  # statuses of what ends by itself, or by the operator
PATIENCE = 8  # times that such a line is tried
RESTART = ("engine_stopped", "not_ready_failed", "not_ready_draining", "not_ready_loading")  # codes of what only a restart ends
LONGEST_PAUSE = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    request_id: str
    body: str  # JSON
    code: str | None = None  # of an error

    @property
    def succeeded(self) -> bool:
        return self.status < 300

    def may_pass(self, tries: int) -> bool:
        """Whether another answer may be hoped for after so many."""
        return self.status in PASSING and (tries < PATIENCE or self.code in RESTART)


async def answer_line(endpoint: Endpoint, owner: str, line: BatchLine) -> LineResult:
    """Tried again for as long as it is not the line's fault."""
    tries = 1
    while (answer := await ask(endpoint, owner, line.body)).may_pass(tries):
        await asyncio.sleep(min(2.0 ** min(tries - 1, 10), LONGEST_PAUSE))
        tries += 1
    return await in_thread_if_large(len(answer.body), _to_result, line, answer)


async def ask(endpoint: Endpoint, owner: str, body: str) -> Answer:
    reply = _Reply(f"req_{uuid4().hex}")
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": endpoint.path,
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "path_params": {},
        "owner": owner,
        "request_id": reply.request_id,
    }
    try:
        await endpoint(scope, _sends(body.encode()), reply.send)
    except Exception as error:
        if not isinstance(error, ApiError):
            LOG.error("a line of a batch for %s failed", endpoint.path, exc_info=error)
        told = error if isinstance(error, ApiError) else to_api_error(error)
        return Answer(told.status, reply.request_id, told.body().decode(), told.code)
    return reply.answer()


def failed_line(custom_id: str, code: str, message: str) -> str:
    """A line of the error file for a request without a response."""
    return _output_line(custom_id, "null", json.dumps({"code": code, "message": message}))


@dataclass
class _Reply:
    request_id: str
    status: int = 0
    parts: list[bytes] = field(default_factory=list[bytes])

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.parts.append(message.get("body", b""))

    def answer(self) -> Answer:
        return Answer(self.status, self.request_id, b"".join(self.parts).decode())


def _sends(body: bytes) -> Receive:
    """A client that waits for the answer, however long it takes."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop()

    return receive


def _to_result(line: BatchLine, answer: Answer) -> LineResult:
    response = f'{{"status_code": {answer.status}, "request_id": {json.dumps(answer.request_id)}, "body": {answer.body}}}'
    usage = _usage(json.loads(answer.body)) if answer.succeeded else TokenUsage()
    output = _output_line(line.custom_id, response, "null")
    return LineResult(number=line.number, succeeded=answer.succeeded, output=output, usage=usage)


def _output_line(custom_id: str, response: str, error: str) -> str:
    """`response`, `error`: JSON. The line has no end."""
    id = json.dumps(f"batch_req_{uuid4().hex}")
    return f'{{"id": {id}, "custom_id": {json.dumps(custom_id)}, "response": {response}, "error": {error}}}'


def _usage(body: Json) -> TokenUsage:
    """Of any of the endpoints: two generations of names."""
    usage: Json = body.get("usage") or {}

    def count(*path: str) -> int:
        value: Any = usage
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        return value if isinstance(value, int) else 0

    return TokenUsage(
        input=count("prompt_tokens") + count("input_tokens"),
        cached=count("prompt_tokens_details", "cached_tokens") + count("input_tokens_details", "cached_tokens"),
        output=count("completion_tokens") + count("output_tokens"),
        reasoning=count("completion_tokens_details", "reasoning_tokens") + count("output_tokens_details", "reasoning_tokens"),
    )
