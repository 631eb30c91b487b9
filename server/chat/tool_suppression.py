"""Keeping a model from calling tools in a turn that allows none, although the conversation shows it what calls look like."""

import re
from collections.abc import Sequence

from engine.api import Grammar, Lark
from server.core.messages import Message, ToolResult, User
from server.runtime.runtime import Runtime
from server.text.tokenizer import ChatTokenizer

SMALL_MODEL = 1_000_000_000  # parameters
FORBIDDEN = -100.0  # logit bias


def should_stop_calling(runtime: Runtime, messages: Sequence[Message]) -> bool:
    """Whether the next turn should be without tools. A small model whose template knows no tools gets one round of calls: with a
    result and tools still on offer SmolLM2-135M answers none of eight questions, it calls again or digresses; without them it answers
    five to seven."""
    small = (runtime.engine.info.parameters or SMALL_MODEL) < SMALL_MODEL
    return small and runtime.tokenizer.tool_template is None and bool(messages) and isinstance(messages[-1], ToolResult)


def marker_bias(tokenizer: ChatTokenizer) -> tuple[tuple[int, float], ...]:
    """A logit bias against the special tokens that calls begin with."""
    found = (tokenizer.special_token_id(marker) for marker in tokenizer.dialect.markers)
    return tuple((token, FORBIDDEN) for token in found if token is not None)


def no_calls_grammar(tokenizer: ChatTokenizer) -> Grammar | None:
    """Any text without the strings that calls begin with, behind the thoughts. None: there are no such strings."""
    spelled = [marker for marker in tokenizer.dialect.markers if tokenizer.special_token_id(marker) is None]
    if not spelled:
        return None
    marks = "|".join(re.escape(marker).replace("/", r"\/") for marker in spelled)
    words = r"(?s:.*)" if tokenizer.tool_template else r"\s*[^<\s](?s:.*)"  # without a tool template it would invent markers
    return Lark(source=f"start: TEXT\nTEXT: /{words}/ & ~/(?s:.*({marks}).*)/\n")


def with_question_repeated(tokenizer: ChatTokenizer, messages: Sequence[Message]) -> Sequence[Message]:
    """For models whose template knows no tools: the user's question again after a tool's result. SmolLM2-135M answers three questions
    of eight from a tool's result, and seven with the question repeated; with other wordings four to six."""
    question = next((message.text for message in reversed(messages) if isinstance(message, User)), "")
    if tokenizer.tool_template is not None or not question or not isinstance(messages[-1], ToolResult):
        return messages
    return [*messages, User(text=f"{question} Answer in a sentence.")]
