"""One turn of the model: what it reads, which tools it may call, how it must write."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from engine.api import Closing, Grammar, Lark, Request
from server.chat import tool_suppression
from server.chat.call_tracker import CallTracker
from server.chat.grounding.grounding import GroundedQuestion
from server.chat.output_parser import OutputParser
from server.chat.repetition import RepetitionDetector
from server.chat.sampling import engine_sampling, tokens_left
from server.chat.tools.toolset import ToolOffer
from server.core.errors import ApiError, bad_request
from server.core.messages import Message, NamedTools, System, Tool, ToolChoice, ToolResult, User
from server.core.request import GenerationRequest
from server.core.threads import in_thread_if_large
from server.runtime.runtime import Runtime
from server.text.render import render, size
from server.text.tokenizer import ChatTokenizer, Prompt
from server.text.tool_calls.api import CallConstraint, UnusableSchema
from server.text.tool_calls.grammar import lark

RESERVED_VARIABLES = frozenset(
    {"messages", "tools", "documents", "add_generation_prompt"}
)  # template variables that a request has no say in
CONTEXT_OVERFLOW = "context_length_exceeded"
CLOSING_TOKENS = 64  # tokens in which a call that has become too long is brought to its end


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Ready to be generated. `left`: tokens that the model may write."""

    prompt: Prompt
    offer: ToolOffer
    grammar: Grammar | None
    max_tokens: int
    calls_suppressed: bool  # there are tools, or have been, and none may be called now

    def engine_request(self, runtime: Runtime, wish: GenerationRequest, index: int) -> Request:
        """For the `index`-th of the wish's answers."""
        text, info = runtime.tokenizer, runtime.engine.info
        chosen = engine_sampling(wish.sampling, index, info=info, ends=text.stop_tokens, max_tokens=self.max_tokens, logprobs=wish.logprobs)
        if self.calls_suppressed:
            chosen = replace(chosen, logit_bias=(*chosen.logit_bias, *tool_suppression.marker_bias(text)))
        closing = (
            Closing(tokens=min(CLOSING_TOKENS, self.max_tokens // 2), marks=text.dialect.closing_marks) if self.offer.callable else None
        )
        return Request(tokens=self.prompt.tokens, sampling=chosen, grammar=self.grammar, closing=closing)

    def call_tracker(self, text: ChatTokenizer, most: int | None) -> CallTracker | None:
        """`most`: after so many the turn is over."""
        if not self.offer.callable:
            return None
        forced = self.offer.choice != "auto"
        return CallTracker(text.dialect.parser(self.offer.tools), self.offer.owners, most, forced=forced)

    def output_parser(
        self, text: ChatTokenizer, request: Request, wish: GenerationRequest, calls: CallTracker | None, grounds: GroundedQuestion | None
    ) -> OutputParser:
        thoughts = text.reasoning_parser(self.prompt)
        formed = wish.response_format is not None
        circles = RepetitionDetector(len(grounds.hits)) if grounds and not formed else None
        fences = () if formed else (*self.prompt.fences, *(grounds.fences if grounds else ()))
        return OutputParser(text, request, wish.stop, thoughts, circles, calls, fences)


async def build_turn(runtime: Runtime, wish: GenerationRequest, sayings: Sequence[Message], offer: ToolOffer, left: int | None) -> Turn:
    """`left`: tokens that the model may still write; None: as many as fit. Raises ApiError."""
    fields = wish.field_names
    offer = ToolOffer() if offer.choice == "auto" and tool_suppression.should_stop_calling(runtime, sayings) else offer
    muted = not offer.callable and bool(wish.tools or wish.mcp_servers or any(isinstance(said, ToolResult) for said in sayings))
    await _expect_usable_schemas(runtime, wish, offer)
    prompt = await render_prompt(
        runtime, wish, tool_suppression.with_question_repeated(runtime.tokenizer, sayings) if muted else sayings, offer
    )
    if wish.response_format is not None and prompt.thinking and not offer.callable:
        raise bad_request(
            fields.response_format, f"{fields.response_format}: this model thinks first, and its thoughts would not fit the format"
        )
    space = tokens_left(runtime.engine.info, len(prompt.tokens), fields.messages)
    limit = space if left is None else min(left, space)
    form = await runtime.grammar_cache.form(wish.response_format)
    grammar = (
        await _grammar(runtime, wish, offer, prompt, form)
        if offer.callable
        else form or (tool_suppression.no_calls_grammar(runtime.tokenizer) if muted else None)
    )
    return Turn(prompt=prompt, offer=offer, grammar=grammar, max_tokens=limit, calls_suppressed=muted)


async def render_prompt(runtime: Runtime, wish: GenerationRequest, sayings: Sequence[Message], offer: ToolOffer) -> Prompt:
    tools = offer.tools if offer.callable else ()
    variables = _template_variables(wish, runtime.tokenizer)
    return await in_thread_if_large(size(sayings, tools), render, runtime.tokenizer, sayings, tools, variables, wish.field_names.messages)


async def _expect_usable_schemas(runtime: Runtime, wish: GenerationRequest, offer: ToolOffer) -> None:
    """Of the client's tools; a server's tool may take any object instead."""
    try:
        await runtime.grammar_cache.expect([tool for tool in wish.tools if tool in offer.tools] if offer.callable else ())
    except UnusableSchema as error:
        raise await asyncio.to_thread(_unusable_schema, error, wish, lark.expect) from error


async def _grammar(runtime: Runtime, wish: GenerationRequest, offer: ToolOffer, prompt: Prompt, form: Grammar | None) -> Grammar:
    text, free = runtime.tokenizer, offer.choice == "auto"
    calling = CallConstraint(
        tools=offer.tools,
        tool_choice="required" if form is not None and free else offer.choice,  # the other choice is the form
        parallel=wish.parallel_tool_calls and _allows_parallel(text, offer.choice),
        in_reasoning=prompt.thinking,
        has_reasoning=text.has_reasoning,
    )
    ours = [name for name, whose in offer.owners.items() if whose.server_label is not None]
    try:
        return Lark(source=await runtime.grammar_cache.source(calling, form if free else None, ours))
    except UnusableSchema as error:
        raise await asyncio.to_thread(_unusable_schema, error, wish, partial(_single_tool_grammar, text, calling)) from error


def _single_tool_grammar(text: ChatTokenizer, calling: CallConstraint, tool: Tool) -> str:
    return text.dialect.grammar(replace(calling, tools=(tool,), tool_choice="required"), text.control_id)


def _allows_parallel(text: ChatTokenizer, choice: ToolChoice) -> bool:
    """Whether there can be several calls in a turn: not where one function is asked for by name, nor for models that have not
    learned it; they would go on for ever."""
    single = isinstance(choice, NamedTools) and len(choice.names) == 1
    return not single and text.tool_template is not None and not text.tool_template.single_call


def _unusable_schema(error: UnusableSchema, wish: GenerationRequest, attempt: Callable[[Tool], object]) -> ApiError:
    """Names the tool by its place in the request, where it is the client's. `attempt`: raises UnusableSchema for a tool of which a
    grammar cannot be made."""
    tool = next((tool for tool in wish.tools if tool.name == error.tool), None)
    field = wish.field_names.tools if tool is None else f"{tool.field}.{wish.field_names.parameters}"
    advice = "; without strict, what no grammar can enforce is left to you" if tool and _only_strict_fails(tool, attempt) else ""
    return bad_request(field, f"{field}: the parameters of {error.tool} cannot be enforced: {error}{advice}", "invalid_schema")


def _only_strict_fails(tool: Tool, attempt: Callable[[Tool], object]) -> bool:
    """Whether only being strict keeps a tool from being used."""
    if not tool.strict:
        return False
    try:
        attempt(replace(tool, strict=False))
    except UnusableSchema:
        return False
    return True


def _template_variables(wish: GenerationRequest, text: ChatTokenizer) -> dict[str, Any]:
    """What the template is told. An answer that must have a form is given without thoughts, where a model has the choice."""
    known = (text.template.variables if text.template else frozenset[str]()) - RESERVED_VARIABLES
    given: dict[str, Any] = dict(wish.template_kwargs)
    if wish.response_format is not None and "enable_thinking" in known:
        given = {"enable_thinking": False, **given}
    if unknown := sorted(given.keys() - known):
        name = f"chat_template_kwargs.{unknown[0]}"
        raise bad_request(name, f"{name}: this model's chat template does not know it")
    if (effort := wish.reasoning_effort) is None:
        return given
    if "reasoning_effort" in known:
        return {"reasoning_effort": effort, **given}
    if "enable_thinking" in known:
        return {"enable_thinking": effort != "none", **given}
    if effort == "none" and not text.has_reasoning:
        return given
    field = wish.field_names.reasoning_effort
    raise bad_request(field, f"{field}: this model cannot be told how much to think (asked for {effort!r})")


async def fit_turn(
    runtime: Runtime, wish: GenerationRequest, sayings: Sequence[Message], offer: ToolOffer, left: int | None
) -> tuple[Sequence[Message], Turn]:
    """The next turn and what it rests on: all sayings or, where the context is too small and the wish wants it so, as many of them
    as fit. Raises ApiError."""
    try:
        return sayings, await build_turn(runtime, wish, sayings, offer, left)
    except ApiError as error:
        ends = droppable_prefixes(sayings) if wish.truncate and error.code == CONTEXT_OVERFLOW else []
        if not ends:
            raise
    kept = without_prefix(sayings, ends[-1])
    found, fits, fails = (kept, await build_turn(runtime, wish, kept, offer, left)), len(ends) - 1, -1
    while fits - fails > 1:
        middle = (fits + fails) // 2
        kept = without_prefix(sayings, ends[middle])
        try:
            found, fits = (kept, await build_turn(runtime, wish, kept, offer, left)), middle
        except ApiError as error:
            if error.code != CONTEXT_OVERFLOW:
                raise
            fails = middle
    return found


def droppable_prefixes(sayings: Sequence[Message]) -> list[int]:
    """Up to where what is oldest can be dropped, the least first: always up to a user's message, and never the last of these."""
    last = max((i for i, said in enumerate(sayings) if isinstance(said, User)), default=0)
    oldest = next((i for i, said in enumerate(sayings[:last]) if not isinstance(said, System)), last)
    return [i for i in range(oldest + 1, last + 1) if isinstance(sayings[i], User)]


def without_prefix(sayings: Sequence[Message], end: int) -> list[Message]:
    """Without what stands before `end`, but for instructions."""
    return [*(said for said in sayings[:end] if isinstance(said, System)), *sayings[end:]]


def has_tool_results(sayings: Sequence[Message]) -> bool:
    return any(isinstance(said, ToolResult) for said in sayings)
