"""One turn of the model: its prompt, the tools it may call, the grammar of its output."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from engine.api import Closing, Grammar, Lark, Request, ThoughtBudget
from server.chat import tool_suppression
from server.chat.call_tracker import CallTracker
from server.chat.decoding import with_decoding
from server.chat.grounding.grounding import GroundedQuestion
from server.chat.output_parser import OutputParser
from server.chat.repetition import RepetitionDetector
from server.chat.sampling import engine_sampling, expect_room, tokens_left, too_long
from server.chat.thinking import engine_budget, plan_thoughts
from server.chat.tools.toolset import ToolOffer
from server.core.errors import ApiError, ErrorFields, bad_request, engine_errors_as_api_errors
from server.core.messages import Assistant, Message, NamedTools, PromptEnd, Tool, ToolChoice, ToolResult
from server.core.request import GenerationRequest
from server.core.threads import in_thread_if_large
from server.runtime.runtime import Runtime
from server.text.conversation.render import count_characters, render
from server.text.grammars.union import behind_thoughts
from server.text.prompt import Prompt
from server.text.reasoning.harmony import Channels
from server.text.tokenizer import ChatTokenizer
from server.text.tool_calls.api import CallConstraint, UnusableSchema
from server.text.tool_calls.grammar import lark

CONTEXT_OVERFLOW = "context_length_exceeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Ready to be generated."""

    prompt: Prompt
    offer: ToolOffer
    grammar: Grammar | None
    thoughts: ThoughtBudget | None
    max_tokens: int
    calls_suppressed: bool  # there are tools, or results of some, but none may be called now

    def engine_request(self, runtime: Runtime, request: GenerationRequest, index: int) -> Request:
        """For the `index`-th answer."""
        tokenizer, info, params = runtime.tokenizer, runtime.engine.info, request.sampling
        sampling = engine_sampling(
            params,
            index,
            info=info,
            tokenizer=tokenizer,
            max_tokens=self.max_tokens,
            logprobs=request.logprobs,
            prompt_logprobs=request.prompt_logprobs if index == 0 else None,
        )
        if self.calls_suppressed:
            sampling = replace(sampling, logit_bias=(*sampling.logit_bias, *tool_suppression.marker_bias(tokenizer)))
        has_end = self.offer.callable or request.response_format is not None
        closing = Closing(marks=_end_marks(tokenizer)) if has_end else None
        asked = Request(
            tokens=self.prompt.tokens,
            images=self.prompt.images,
            sampling=sampling,
            grammar=self.grammar,
            priority=params.rank,
            closing=closing,
            thoughts=self.thoughts,
            speculative=params.speculative,
        )
        return with_decoding(runtime, asked, self.prompt, params, request.n)

    def call_tracker(self, tokenizer: ChatTokenizer, max_calls: int | None) -> CallTracker | None:
        """`max_calls`: the turn ends after so many."""
        if not self.offer.callable:
            return None
        forced = self.offer.choice != "auto"
        return CallTracker(tokenizer.dialect.parser(self.offer.tools), self.offer.owners, max_calls, forced=forced)

    def output_parser(
        self,
        tokenizer: ChatTokenizer,
        engine_request: Request,
        request: GenerationRequest,
        tracker: CallTracker | None,
        grounding: GroundedQuestion | None,
    ) -> OutputParser:
        has_format = request.response_format is not None
        repetition = RepetitionDetector(len(grounding.hits)) if grounding and not has_format else None
        delimiters = () if has_format else (*self.prompt.delimiters, *(grounding.delimiters if grounding else ()))
        thoughts = tokenizer.thoughts(self.prompt)
        return OutputParser(tokenizer, engine_request, request.output, thoughts, repetition, tracker, delimiters)


def _end_marks(tokenizer: ChatTokenizer) -> tuple[str, ...]:
    """Strings that end thoughts, or an argument of a call, where a quotation mark does not."""
    ends = (tokenizer.reasoning.end(calls=True).strip(),) if tokenizer.reasoning else ()
    return (*ends, *tokenizer.dialect.closing_strings)


async def build_turn(runtime: Runtime, request: GenerationRequest, messages: Sequence[Message], offer: ToolOffer, left: int | None) -> Turn:
    """`left`: tokens of max_tokens that are not used up; None: no limit but the context. Raises ApiError."""
    fields = request.field_names
    offer = ToolOffer() if offer.choice == "auto" and tool_suppression.should_stop_calling(runtime, messages) else offer
    suppress_calls = not offer.callable and bool(request.tools or request.mcp_servers or has_tool_results(messages))
    await _expect_usable_schemas(runtime, request, offer)
    if suppress_calls:
        messages = tool_suppression.with_question_repeated(runtime.tokenizer, messages)
    prompt = await render_prompt(runtime, request, messages, offer)
    room = tokens_left(runtime.engine.info, prompt, fields.messages)
    if request.max_prompt_tokens is not None and prompt.length > request.max_prompt_tokens:
        needed = f"{prompt.length} tokens are needed for the last message alone, more than {request.max_prompt_tokens}"
        raise too_long("truncate_prompt_tokens", f"truncate_prompt_tokens: {needed}")
    grammar = await _turn_grammar(runtime, request, offer, prompt, suppress_calls=suppress_calls)
    max_tokens = room if left is None else min(left, room)
    thoughts = engine_budget(runtime.tokenizer, prompt, plan_thoughts(request, runtime.tokenizer), calls=offer.callable)
    return Turn(prompt=prompt, offer=offer, grammar=grammar, thoughts=thoughts, max_tokens=max_tokens, calls_suppressed=suppress_calls)


async def _turn_grammar(
    runtime: Runtime, request: GenerationRequest, offer: ToolOffer, prompt: Prompt, *, suppress_calls: bool
) -> Grammar | None:
    fields = request.field_names
    with engine_errors_as_api_errors(ErrorFields(prompt=fields.messages, grammar=fields.response_format)):
        response_format = await runtime.grammar_cache.answer_grammar(request.response_format)
    if offer.callable:
        return await _call_grammar(runtime, request, offer, prompt, response_format)
    tokenizer = runtime.tokenizer
    grammar = response_format or (tool_suppression.no_calls_grammar(tokenizer) if suppress_calls else None)
    return None if grammar is None else behind_thoughts(grammar, tokenizer.thoughts(prompt), tokenizer.special_token_id)


async def render_prompt(runtime: Runtime, request: GenerationRequest, messages: Sequence[Message], offer: ToolOffer) -> Prompt:
    tools = offer.tools if offer.callable else ()
    variables = plan_thoughts(request, runtime.tokenizer).variables
    end, field = _prompt_end(runtime.tokenizer, request, messages), request.field_names.messages
    characters = count_characters(messages, tools)
    expect_room(runtime, characters, field)
    return await in_thread_if_large(characters, render, runtime.tokenizer, messages, tools, variables, field, end)


def _prompt_end(tokenizer: ChatTokenizer, request: GenerationRequest, messages: Sequence[Message]) -> PromptEnd:
    """Only the first turn continues a message. Raises ApiError where the beginning of an answer cannot be continued."""
    if request.prompt_end != "continued" or not isinstance(messages[-1], Assistant):
        return "answer" if request.prompt_end == "continued" else request.prompt_end
    field = request.field_names.prompt_end
    if request.response_format is not None:
        raise bad_request(field, f"{field}: an answer in a format cannot be continued: the format begins with its first character")
    if isinstance(tokenizer.reasoning, Channels):
        raise bad_request(field, f"{field}: this model's answers cannot be continued: it begins each with its thoughts", "unsupported")
    return "continued"


async def _expect_usable_schemas(runtime: Runtime, request: GenerationRequest, offer: ToolOffer) -> None:
    """Checks the client's tools; a server tool with an unusable schema takes any object instead."""
    try:
        await runtime.grammar_cache.check_tools([tool for tool in request.tools if tool in offer.tools] if offer.callable else ())
    except UnusableSchema as error:
        raise await asyncio.to_thread(_unusable_schema, error, request, lark.check_tool) from error


async def _call_grammar(
    runtime: Runtime, request: GenerationRequest, offer: ToolOffer, prompt: Prompt, response_format: Grammar | None
) -> Grammar:
    tokenizer, free = runtime.tokenizer, offer.choice == "auto"
    constraint = CallConstraint(
        tools=offer.tools,
        tool_choice="required" if response_format is not None and free else offer.choice,  # the alternative is the response format
        parallel=request.parallel_tool_calls and _allows_parallel(tokenizer, offer.choice),
        thoughts=tokenizer.thoughts(prompt),
    )
    server_tools = [name for name, owner in offer.owners.items() if owner.server_label is not None]
    try:
        return Lark(source=await runtime.grammar_cache.turn_grammar(constraint, response_format if free else None, server_tools))
    except UnusableSchema as error:
        raise await asyncio.to_thread(_unusable_schema, error, request, partial(_single_tool_grammar, tokenizer, constraint)) from error


def _single_tool_grammar(tokenizer: ChatTokenizer, constraint: CallConstraint, tool: Tool) -> str:
    return tokenizer.dialect.grammar(replace(constraint, tools=(tool,), tool_choice="required"), tokenizer.special_token_id)


def _allows_parallel(tokenizer: ChatTokenizer, choice: ToolChoice) -> bool:
    """Whether a turn may have several calls: not where one function is required by name, nor for models that were not trained for it
    and would never stop."""
    single = isinstance(choice, NamedTools) and len(choice.names) == 1
    return not single and tokenizer.tool_template is not None and not tokenizer.tool_template.single_call


def _unusable_schema(error: UnusableSchema, request: GenerationRequest, attempt: Callable[[Tool], object]) -> ApiError:
    """The error, with the tool's field in the request where it is the client's. `attempt` raises UnusableSchema for a tool that no
    grammar can be made for."""
    tool = next((tool for tool in request.tools if tool.name == error.tool), None)
    field = request.field_names.tools if tool is None else f"{tool.field}.{request.field_names.parameters}"
    advice = "; without strict, what no grammar can enforce is left to you" if tool and _only_strict_fails(tool, attempt) else ""
    return bad_request(field, f"{field}: the parameters of {error.tool} cannot be enforced: {error}{advice}", "invalid_schema")


def _only_strict_fails(tool: Tool, attempt: Callable[[Tool], object]) -> bool:
    """Whether the tool would be usable without strict."""
    if not tool.strict:
        return False
    try:
        attempt(replace(tool, strict=False))
    except UnusableSchema:
        return False
    return True


def has_tool_results(messages: Sequence[Message]) -> bool:
    return any(isinstance(message, ToolResult) for message in messages)
