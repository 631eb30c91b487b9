"""The ways in which a conversation is offered to a chat template, in order of preference. OpenAI's API sets no order of roles; many
templates do, or leave out what stands where they do not expect it."""

from collections.abc import Sequence
from dataclasses import dataclass

from server.core.messages import Message, Tool
from server.text.conversation.adapt_messages import (
    Step,
    answer_after_results,
    calls_apart,
    images_behind_results,
    join_neighbours,
    names_as_text,
    no_reasoning,
    no_system,
    one_system_first,
    user_between_answers,
    user_first,
    with_tools_as_text,
)


@dataclass(frozen=True, slots=True)
class Arrangement:
    """`tools_as_text`: tools, calls and results are text in the messages."""

    steps: tuple[Step, ...] = ()
    tools_as_text: bool = False

    def apply(self, messages: Sequence[Message], tools: Sequence[Tool]) -> Sequence[Message]:
        messages = list(with_tools_as_text(messages, tools)) if self.tools_as_text else images_behind_results(messages)
        for step in self.steps:
            messages = step(messages)
        return messages


ALTERNATING = (join_neighbours, user_first)
ORDERS: tuple[tuple[Step, ...], ...] = (
    (),
    (one_system_first,),
    (one_system_first, join_neighbours),
    (one_system_first, *ALTERNATING),
    (no_system, *ALTERNATING),
)
WITH_TOOLS = (
    *ORDERS,
    *((*order, answer_after_results) for order in ORDERS[2:]),
    *((calls_apart, *order) for order in ORDERS),
    *((*order, calls_apart, user_between_answers) for order in ORDERS[2:]),
    *((no_reasoning, *order) for order in ORDERS),
)


def arrangements(*, names: bool, tools: bool) -> tuple[Arrangement, ...]:
    """`names`: the template shows names. `tools`: it supports tools."""
    as_text = tuple(Arrangement((names_as_text, *order), tools_as_text=True) for order in ORDERS)
    ordered = tuple(Arrangement((names_as_text, *order)) for order in WITH_TOOLS)
    native = (Arrangement(), *ordered) if names else ordered
    return (*native, *as_text) if tools else (Arrangement(tools_as_text=True), *as_text) if names else as_text
