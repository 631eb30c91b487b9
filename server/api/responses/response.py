"""A response before it is finished, and the object that shows it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from engine.api import Usage
from server.api.responses.context import Context
from server.api.responses.ids import Ids
from server.api.responses.types import response as shape
from server.api.responses.types import tools as wire
from server.api.responses.types.request import ResponseRequest, Summary
from server.archive.api import Status, StoredResponse
from server.core.errors import ApiError
from server.core.events import AnswerFinished
from server.core.messages import Json

RESULTS, LOGPROBS, SEALED = "file_search_call.results", "message.output_text.logprobs", "reasoning.encrypted_content"


@dataclass(frozen=True, kw_only=True)
class Draft:
    ids: Ids
    owner: str
    created: int  # Unix time
    model: str
    body: ResponseRequest
    context: Context
    stored: bool

    @property
    def id(self) -> str:
        return self.ids.response

    @property
    def summary(self) -> Summary | None:
        return self.body.reasoning.summary if self.body.reasoning else None

    def object(self, status: Status, output: Sequence[Json] = (), **fields: object) -> Json:
        """The Response object; `fields` where it is not as at the beginning."""
        asked = self.body
        text = asked.text.model_dump(by_alias=True, exclude_none=True) if asked.text else {}
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "completed_at": None,
            "status": status,
            "background": bool(asked.background),
            "error": None,
            "incomplete_details": None,
            "instructions": asked.instructions,
            "model": self.model,
            "output": list(output),
            "parallel_tool_calls": asked.parallel_tool_calls is not False,
            "previous_response_id": asked.previous_response_id,
            "conversation": {"id": self.context.conversation} if self.context.conversation else None,
            "tools": [_tool(tool) for tool in asked.tools or ()],
            "tool_choice": _choice(asked.tool_choice),
            "text": {"format": {"type": "text"}, "verbosity": "medium", **text},
            "reasoning": {"effort": asked.reasoning.effort if asked.reasoning else None, "summary": self.summary},
            "truncation": asked.truncation or "disabled",
            "max_output_tokens": asked.max_output_tokens,
            "max_tool_calls": asked.max_tool_calls,
            "temperature": 1.0 if asked.temperature is None else asked.temperature,
            "top_p": 1.0 if asked.top_p is None else asked.top_p,
            "top_logprobs": asked.top_logprobs or 0,
            "store": self.stored,
            "metadata": asked.metadata or {},
            "service_tier": "default",
            "safety_identifier": asked.safety_identifier,
            "prompt_cache_key": asked.prompt_cache_key,
            "prompt_cache_retention": asked.prompt_cache_retention,
            **({} if asked.user is None else {"user": asked.user}),
            **fields,
        }

    def finished(self, output: Sequence[Json], ended: AnswerFinished) -> Json:
        cut = ended.reason == "length"
        return self.object(
            "incomplete" if cut else "completed",
            output,
            incomplete_details={"reason": "max_output_tokens"} if cut else None,
            completed_at=None if cut else int(time.time()),
            usage=_usage(ended.usage, ended.reasoning_tokens),
        )

    def failed(self, output: Sequence[Json], error: ApiError) -> Json:
        return self.object("failed", output, error=failure(error))

    def record(self, body: Json) -> StoredResponse:
        return StoredResponse(
            id=self.id,
            owner=self.owner,
            created_at=self.created,
            status=body["status"],
            background=body["background"],
            previous=self.body.previous_response_id,
            conversation=self.context.conversation,
            body=body,
            input=list(self.context.items),
        )


def failure(error: ApiError) -> Json:
    """In the few codes that a Response's error may have."""
    code = "rate_limit_exceeded" if error.code == "queue_full" else "invalid_prompt" if error.status < 500 else "server_error"
    return {"code": code, "message": error.message}


def shown(body: Json, include: Sequence[str]) -> Json:
    """Without what has not been asked for."""
    return {**body, "output": [shown_item(item, include) for item in body["output"]]}


def shown_event(event: Json, include: Sequence[str]) -> Json:
    if "item" in event:
        return {**event, "item": shown_item(event["item"], include)}
    return {**event, "response": shown(event["response"], include)} if "response" in event else event


def shown_item(item: Json, include: Sequence[str]) -> Json:
    match item["type"]:
        case "file_search_call" if RESULTS not in include:
            return {**item, "results": None}
        case "message" if LOGPROBS not in include:
            parts: list[Json] = item["content"]
            return {**item, "content": [{**part, "logprobs": []} if part.get("logprobs") else part for part in parts]}
        case "reasoning" if SEALED not in include:
            return {**item, "encrypted_content": None}
        case _:
            return item


def _tool(tool: wire.Tool) -> Json:
    match tool:
        case wire.FunctionTool():
            strict = tool.strict is True
            return shape.ShownFunction(name=tool.name, description=tool.description, parameters=tool.parameters, strict=strict).model_dump()
        case _:
            return tool.model_dump(exclude_none=True)


def _choice(choice: wire.ToolChoice | None) -> str | Json:
    if choice is None or isinstance(choice, str):
        return choice or "auto"
    return choice.model_dump(exclude_none=True)


def _usage(usage: Usage, thoughts: int) -> Json:
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": thoughts},
        "total_tokens": usage.prompt + usage.completion,
    }
