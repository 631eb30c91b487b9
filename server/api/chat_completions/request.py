"""From the body of a chat completion to a GenerationRequest."""

from dataclasses import dataclass, replace

from engine.api import Lark
from server.api.chat_completions.approvals import to_approval_decisions
from server.api.chat_completions.messages import earlier_calls, to_messages, to_prompt_end
from server.api.chat_completions.tools import to_request_tools, to_tool_choice
from server.api.chat_completions.types import ChatRequest
from server.api.common.generation import output_options, sampling_params
from server.api.common.generation_types import UNLIMITED
from server.api.common.output_format import grammar_field, to_grammar
from server.api.common.thinking import shows_reasoning, to_budget, to_effort
from server.api.common.tool_types import FileSearchTool
from server.archive.api import Archive
from server.chat.grounding.grounding import default_search
from server.chat.loop import GenerationPlan
from server.core.errors import bad_request
from server.core.request import FieldNames, GenerationRequest
from server.http.warnings import hint_warnings
from server.runtime.runtime import Runtime


@dataclass(frozen=True)
class PreparedChat:
    """A checked request, ready to run."""

    plan: GenerationPlan
    body: ChatRequest
    id: str  # of the response
    stream_usage: bool  # the stream ends with a usage chunk
    archive: Archive | None  # where the response is stored; None: nowhere
    audio_tokens: int = 0  # of the prompt: what was said in recordings


def to_generation_request(runtime: Runtime, body: ChatRequest) -> GenerationRequest:
    """Raises ApiError for what cannot be honoured."""
    tools = to_request_tools(body)
    choice = to_tool_choice(body, tools)
    if not any(isinstance(tool, FileSearchTool) for tool in body.tools or ()):
        tools.file_search = default_search(runtime)
    elif choice == "none":
        tools.file_search = None
    if body.include and tools.file_search is None:
        raise bad_request("include", "include: without the file_search tool nothing is searched")
    grammar = to_grammar(body)
    if isinstance(grammar, Lark) and (tools.functions or tools.mcp_servers):
        raise bad_request(grammar_field(body), f"{grammar_field(body)}: a grammar cannot be combined with tools")
    _expect_context(runtime, body)
    (effort, effort_field), (budget, budget_field) = to_effort(body), to_budget(body)
    return GenerationRequest(
        model=body.model,
        messages=to_messages(body.messages),
        sampling=sampling_params(body),
        n=body.n or 1,
        output=replace(output_options(body), show_reasoning=shows_reasoning(body)),
        max_tokens=_max_tokens(body),
        prompt_end=to_prompt_end(body.messages, continued=body.continue_final_message, generation=body.add_generation_prompt),
        response_format=grammar,
        logprobs=_logprobs(body),
        prompt_logprobs=body.prompt_logprobs,
        reasoning_effort=effort,
        thinking_budget=budget,
        template_kwargs=body.chat_template_kwargs or {},
        tools=tuple(tools.functions),
        mcp_servers=tuple(tools.mcp_servers),
        file_search=tools.file_search,
        tool_choice=choice,
        parallel_tool_calls=body.parallel_tool_calls is not False,
        approval_decisions=to_approval_decisions(body),
        earlier_calls=earlier_calls(body.messages),
        warnings=(*hint_warnings(body), *tools.warnings),
        truncate=body.truncate_prompt_tokens is not None,
        max_prompt_tokens=body.truncate_prompt_tokens if body.truncate_prompt_tokens != -1 else None,
        field_names=FieldNames(
            response_format=grammar_field(body),
            file_search=tools.file_search_field,
            reasoning_effort=effort_field,
            thinking_budget=budget_field,
        ),
    )


def _expect_context(runtime: Runtime, body: ChatRequest) -> None:
    context = runtime.engine.info.context
    if body.num_ctx is not None and body.num_ctx > context:
        raise bad_request("num_ctx", f"num_ctx: this server reads {context} tokens at once, prompt and answer together")


def _max_tokens(body: ChatRequest) -> int | None:
    limits = {n for n in (body.max_completion_tokens, body.max_tokens, body.n_predict) if n is not None}
    if len(limits) > 1:
        raise bad_request("max_tokens", "max_tokens, max_completion_tokens and n_predict say different things; send one")
    limit = min(limits, default=None)
    return None if limit == UNLIMITED else limit


def _logprobs(body: ChatRequest) -> int | None:
    """How many alternatives per token. None: no log probabilities."""
    if body.top_logprobs and not body.logprobs:
        raise bad_request("top_logprobs", "top_logprobs needs logprobs: true")
    return (body.top_logprobs or 0) if body.logprobs else None
