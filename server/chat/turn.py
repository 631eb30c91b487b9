"""One turn of the model: what it reads, which tools it may call, how it must write."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from engine.api import Closing, Grammar, Lark, Request
from server.chat import tool_suppression
from server.chat.call_tracker import Calls
from server.chat.grounding.grounding import Grounds
from server.chat.output_parser import Reader
from server.chat.repetition import Circles
from server.chat.sampling import room, sampling
from server.chat.tools.toolset import Offer
from server.core.errors import ApiError, bad
from server.core.messages import Named, Saying, System, Tool, ToolChoice, ToolResult, User
from server.core.request import Wish
from server.core.threads import offloaded
from server.runtime.runtime import Served
from server.text.render import render, size
from server.text.tokenizer import Prompt, Text
from server.text.tool_calls.api import Calling, UnusableSchema
from server.text.tool_calls.grammar import lark

OURS = frozenset({"messages", "tools", "documents", "add_generation_prompt"})  # template variables that a request has no say in
OVERFLOW = "context_length_exceeded"
CLOSING = 64  # tokens in which a call that has become too long is brought to its end


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Ready to be generated. `left`: tokens that the model may write."""

    prompt: Prompt
    offer: Offer
    grammar: Grammar | None
    left: int
    muted: bool  # there are tools, or have been, and none may be called now

    def request(self, served: Served, wish: Wish, index: int) -> Request:
        """For the `index`-th of the wish's answers."""
        text, info = served.text, served.engine.info
        chosen = sampling(wish.knobs, index, info=info, ends=text.stop_tokens, max_tokens=self.left, logprobs=wish.logprobs)
        if self.muted:
            chosen = replace(chosen, logit_bias=(*chosen.logit_bias, *tool_suppression.tokens(text)))
        closing = Closing(tokens=min(CLOSING, self.left // 2), marks=text.dialect.closing) if self.offer.open else None
        return Request(tokens=self.prompt.tokens, sampling=chosen, grammar=self.grammar, closing=closing)

    def calls(self, text: Text, most: int | None) -> Calls | None:
        """`most`: after so many the turn is over."""
        if not self.offer.open:
            return None
        forced = self.offer.choice != "auto"
        return Calls(text.dialect.reader(self.offer.tools), self.offer.whose, most, forced=forced)

    def reader(self, text: Text, request: Request, wish: Wish, calls: Calls | None, grounds: Grounds | None) -> Reader:
        thoughts = text.thoughts(self.prompt)
        formed = wish.form is not None
        circles = Circles(len(grounds.hits)) if grounds and not formed else None
        fences = () if formed else (*self.prompt.fences, *(grounds.fences if grounds else ()))
        return Reader(text, request, wish.stops, thoughts, circles, calls, fences)


async def turn(served: Served, wish: Wish, sayings: Sequence[Saying], offer: Offer, left: int | None) -> Turn:
    """`left`: tokens that the model may still write; None: as many as fit. Raises ApiError."""
    fields = wish.fields
    offer = Offer() if offer.choice == "auto" and tool_suppression.done(served, sayings) else offer
    muted = not offer.open and bool(wish.tools or wish.servers or any(isinstance(said, ToolResult) for said in sayings))
    await _expect_schemas(served, wish, offer)
    prompt = await rendered(served, wish, tool_suppression.reminded(served.text, sayings) if muted else sayings, offer)
    if wish.form is not None and prompt.thinking and not offer.open:
        raise bad(fields.form, f"{fields.form}: this model thinks first, and its thoughts would not fit the format")
    space = room(served.engine.info, len(prompt.tokens), fields.messages)
    limit = space if left is None else min(left, space)
    form = await served.grammars.form(wish.form)
    grammar = (
        await _grammar(served, wish, offer, prompt, form)
        if offer.open
        else form or (tool_suppression.grammar(served.text) if muted else None)
    )
    return Turn(prompt=prompt, offer=offer, grammar=grammar, left=limit, muted=muted)


async def rendered(served: Served, wish: Wish, sayings: Sequence[Saying], offer: Offer) -> Prompt:
    tools = offer.tools if offer.open else ()
    variables = _variables(wish, served.text)
    return await offloaded(size(sayings, tools), render, served.text, sayings, tools, variables, wish.fields.messages)


async def _expect_schemas(served: Served, wish: Wish, offer: Offer) -> None:
    """Of the client's tools; a server's tool may take any object instead."""
    try:
        await served.grammars.expect([tool for tool in wish.tools if tool in offer.tools] if offer.open else ())
    except UnusableSchema as error:
        raise await asyncio.to_thread(_unusable, error, wish, lark.expect) from error


async def _grammar(served: Served, wish: Wish, offer: Offer, prompt: Prompt, form: Grammar | None) -> Grammar:
    text, free = served.text, offer.choice == "auto"
    calling = Calling(
        tools=offer.tools,
        choice="required" if form is not None and free else offer.choice,  # the other choice is the form
        parallel=wish.parallel and _several(text, offer.choice),
        thinking=prompt.thinking,
        thinks=text.thinks,
    )
    ours = [name for name, whose in offer.whose.items() if whose.label is not None]
    try:
        return Lark(source=await served.grammars.source(calling, form if free else None, ours))
    except UnusableSchema as error:
        raise await asyncio.to_thread(_unusable, error, wish, partial(_alone, text, calling)) from error


def _alone(text: Text, calling: Calling, tool: Tool) -> str:
    return text.dialect.grammar(replace(calling, tools=(tool,), choice="required"), text.control)


def _several(text: Text, choice: ToolChoice) -> bool:
    """Whether there can be several calls in a turn: not where one function is asked for by name, nor for models that have not
    learned it; they would go on for ever."""
    single = isinstance(choice, Named) and len(choice.names) == 1
    return not single and text.manner is not None and not text.manner.single


def _unusable(error: UnusableSchema, wish: Wish, attempt: Callable[[Tool], object]) -> ApiError:
    """Names the tool by its place in the request, where it is the client's. `attempt`: raises UnusableSchema for a tool of which a
    grammar cannot be made."""
    tool = next((tool for tool in wish.tools if tool.name == error.tool), None)
    field = wish.fields.tools if tool is None else f"{tool.field}.{wish.fields.parameters}"
    advice = "; without strict, what no grammar can enforce is left to you" if tool and _eased(tool, attempt) else ""
    return bad(field, f"{field}: the parameters of {error.tool} cannot be enforced: {error}{advice}", "invalid_schema")


def _eased(tool: Tool, attempt: Callable[[Tool], object]) -> bool:
    """Whether only being strict keeps a tool from being used."""
    if not tool.strict:
        return False
    try:
        attempt(replace(tool, strict=False))
    except UnusableSchema:
        return False
    return True


def _variables(wish: Wish, text: Text) -> dict[str, Any]:
    """What the template is told. An answer that must have a form is given without thoughts, where a model has the choice."""
    known = (text.template.variables if text.template else frozenset[str]()) - OURS
    given: dict[str, Any] = dict(wish.template)
    if wish.form is not None and "enable_thinking" in known:
        given = {"enable_thinking": False, **given}
    if unknown := sorted(given.keys() - known):
        name = f"chat_template_kwargs.{unknown[0]}"
        raise bad(name, f"{name}: this model's chat template does not know it")
    if (effort := wish.effort) is None:
        return given
    if "reasoning_effort" in known:
        return {"reasoning_effort": effort, **given}
    if "enable_thinking" in known:
        return {"enable_thinking": effort != "none", **given}
    if effort == "none" and not text.thinks:
        return given
    field = wish.fields.effort
    raise bad(field, f"{field}: this model cannot be told how much to think (asked for {effort!r})")


async def fitting(served: Served, wish: Wish, sayings: Sequence[Saying], offer: Offer, left: int | None) -> tuple[Sequence[Saying], Turn]:
    """The next turn and what it rests on: all sayings or, where the context is too small and the wish wants it so, as many of them
    as fit. Raises ApiError."""
    try:
        return sayings, await turn(served, wish, sayings, offer, left)
    except ApiError as error:
        ends = droppable(sayings) if wish.truncate and error.code == OVERFLOW else []
        if not ends:
            raise
    kept = without(sayings, ends[-1])
    found, fits, fails = (kept, await turn(served, wish, kept, offer, left)), len(ends) - 1, -1
    while fits - fails > 1:
        middle = (fits + fails) // 2
        kept = without(sayings, ends[middle])
        try:
            found, fits = (kept, await turn(served, wish, kept, offer, left)), middle
        except ApiError as error:
            if error.code != OVERFLOW:
                raise
            fails = middle
    return found


def droppable(sayings: Sequence[Saying]) -> list[int]:
    """Up to where what is oldest can be dropped, the least first: always up to a user's message, and never the last of these."""
    last = max((i for i, said in enumerate(sayings) if isinstance(said, User)), default=0)
    oldest = next((i for i, said in enumerate(sayings[:last]) if not isinstance(said, System)), last)
    return [i for i in range(oldest + 1, last + 1) if isinstance(sayings[i], User)]


def without(sayings: Sequence[Saying], end: int) -> list[Saying]:
    """Without what stands before `end`, but for instructions."""
    return [*(said for said in sayings[:end] if isinstance(said, System)), *sayings[end:]]


def read_results(sayings: Sequence[Saying]) -> bool:
    return any(isinstance(said, ToolResult) for said in sayings)
