"""Builds the Response object in each of its states."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from engine.api import Usage
from server.api.responses.compaction.usage import add_usages
from server.api.responses.ids import IdGenerator
from server.api.responses.resolved_input import ResolvedInput
from server.api.responses.types import response as out
from server.api.responses.types import tools as wire
from server.api.responses.types.request import ResponseRequest, SummaryMode
from server.archive.api import Status, StoredResponse
from server.core.errors import ApiError
from server.core.events import AnswerFinished
from server.core.messages import Json
from server.core.request import RequestWarning
from server.http.warnings import to_warning_objects
from server.text.sampling_defaults import SamplingDefaults


@dataclass(frozen=True, kw_only=True)
class ResponseBuilder:
    ids: IdGenerator
    owner: str
    created: int  # Unix time
    model: str
    body: ResponseRequest
    input: ResolvedInput
    stored: bool
    sampling: SamplingDefaults  # the model's own
    warnings: tuple[RequestWarning, ...] = ()
    compaction_usage: Usage | None = None  # of summarizing before the answer

    @property
    def id(self) -> str:
        return self.ids.response_id

    @property
    def summary(self) -> SummaryMode | None:
        return self.body.reasoning.summary if self.body.reasoning else None

    def build(self, status: Status, output: Sequence[Json] = (), **fields: object) -> Json:
        """The Response object; `fields` replace the values of a response that has just begun."""
        body = self.body
        text = body.text.model_dump(by_alias=True, exclude_none=True) if body.text else {}
        warnings = to_warning_objects(self.warnings)
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "completed_at": None,
            "status": status,
            "background": bool(body.background),
            "error": None,
            "incomplete_details": None,
            "instructions": body.instructions,
            "model": self.model,
            "output": list(output),
            "parallel_tool_calls": body.parallel_tool_calls is not False,
            "previous_response_id": body.previous_response_id,
            "conversation": {"id": self.input.conversation_id} if self.input.conversation_id else None,
            "tools": [_tool(tool) for tool in body.tools or ()],
            "tool_choice": _tool_choice(body.tool_choice),
            "text": {"format": {"type": "text"}, "verbosity": "medium", **text},
            "reasoning": {"effort": body.reasoning.effort if body.reasoning else None, "summary": self.summary},
            "truncation": body.truncation or "disabled",
            "max_output_tokens": body.max_output_tokens,
            "max_tool_calls": body.max_tool_calls,
            "temperature": self.sampling.temperature if body.temperature is None else body.temperature,
            "top_p": self.sampling.top_p if body.top_p is None else body.top_p,
            "top_logprobs": body.top_logprobs or 0,
            "presence_penalty": body.presence_penalty or 0.0,
            "frequency_penalty": body.frequency_penalty or 0.0,
            "usage": None,
            "store": self.stored,
            "metadata": body.metadata or {},
            "service_tier": "default",
            "safety_identifier": body.safety_identifier,
            "prompt_cache_key": body.prompt_cache_key,
            "prompt_cache_retention": "in_memory" if body.prompt_cache_retention == "in-memory" else body.prompt_cache_retention,
            **({} if body.user is None else {"user": body.user}),
            **({} if warnings is None else {"warnings": [warning.model_dump() for warning in warnings]}),
            **fields,
        }

    def build_finished(self, output: Sequence[Json], finished: AnswerFinished) -> Json:
        """Completed, or incomplete if the answer was truncated at the token limit."""
        truncated = finished.reason == "length"
        return self.build(
            "incomplete" if truncated else "completed",
            output,
            incomplete_details={"reason": "max_output_tokens"} if truncated else None,
            completed_at=None if truncated else int(time.time()),
            usage=usage_object(self._with_compaction(finished.usage), finished.reasoning_tokens),
        )

    def _with_compaction(self, usage: Usage) -> Usage:
        return usage if self.compaction_usage is None else add_usages([self.compaction_usage, usage])

    def build_failed(self, output: Sequence[Json], error: ApiError) -> Json:
        return self.build("failed", output, error=response_error(error))

    def to_stored(self, body: Json) -> StoredResponse:
        """`body`: a Response object made by this builder. What it goes on from and nobody has stored becomes part of its input."""
        given, alone = self.input, self.input.detached
        return StoredResponse(
            id=self.id,
            owner=self.owner,
            created_at=self.created,
            status=body["status"],
            background=body["background"],
            previous=None if alone else self.body.previous_response_id,
            conversation=self.input.conversation_id,
            body=body,
            input=[*(given.earlier_items if alone else ()), *given.new_items],
        )


def response_error(error: ApiError) -> Json:
    """The `error` of a failed Response, which can only have three codes."""
    code = "rate_limit_exceeded" if error.code == "queue_full" else "invalid_prompt" if error.status < 500 else "server_error"
    return {"code": code, "message": error.message}


def _tool(tool: wire.Tool) -> Json:
    match tool:
        case wire.FunctionTool():
            strict = tool.strict is True
            info = out.FunctionToolInfo(name=tool.name, description=tool.description, parameters=tool.parameters, strict=strict)
            return info.model_dump()
        case wire.HostedTool():
            return tool.known_fields()
        case _:
            return tool.model_dump(exclude_none=True)


def _tool_choice(choice: wire.ToolChoice | None) -> str | Json:
    if choice is None or isinstance(choice, str):
        return choice or "auto"
    return choice.model_dump(exclude_none=True)


def usage_object(usage: Usage, reasoning_tokens: int) -> Json:
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": reasoning_tokens},
        "total_tokens": usage.prompt + usage.completion,
    }
