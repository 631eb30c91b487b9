"""How a model that has called tools is kept from calling another: it has learned from the conversation what a call looks like."""

import re
from collections.abc import Sequence

from engine.api import Grammar, Lark
from server.core.messages import Message, ToolResult, User
from server.runtime.runtime import Runtime
from server.text import reasoning
from server.text.tokenizer import ChatTokenizer

SMALL_MODEL = 1_000_000_000  # parameters
FORBIDDEN = -100.0  # logit bias


def should_stop_calling(runtime: Runtime, sayings: Sequence[Message]) -> bool:
    """Whether the model had better answer now. A small one that has not learned of tools makes one round of calls: with a result
    before it and tools still open, SmolLM2-135M answers none of eight questions, but calls again or talks of something else;
    without them it answers five to seven."""
    small = (runtime.engine.info.parameters or SMALL_MODEL) < SMALL_MODEL
    return small and runtime.tokenizer.tool_template is None and bool(sayings) and isinstance(sayings[-1], ToolResult)


def marker_bias(text: ChatTokenizer) -> tuple[tuple[int, float], ...]:
    """Calls that begin with tokens of their own: a bias against these."""
    found = (text.control_id(marker) for marker in text.dialect.markers)
    return tuple((token, FORBIDDEN) for token in found if token is not None)


def no_calls_grammar(text: ChatTokenizer) -> Grammar | None:
    """Calls that begin with text: any text without that. None: there is nothing to forbid, or no way to."""
    spelled = [marker for marker in text.dialect.markers if text.control_id(marker) is None]
    if not spelled or text.control_id(reasoning.OPEN) is not None:  # no text has this token, and the thoughts need it
        return None
    marks = "|".join(re.escape(marker).replace("/", r"\/") for marker in spelled)
    words = r"(?s:.*)" if text.tool_template else r"\s*[^<\s](?s:.*)"  # else it would make up markers of its own
    return Lark(source=f"start: TEXT\nTEXT: /{words}/ & ~/(?s:.*({marks}).*)/\n")


def with_question_repeated(text: ChatTokenizer, sayings: Sequence[Message]) -> Sequence[Message]:
    """A model that has not learned of tools forgets over their results what it was asked. SmolLM2-135M answers three questions of
    eight out of what a tool has said, and seven with the question behind it; worded otherwise, four to six."""
    question = next((said.text for said in reversed(sayings) if isinstance(said, User)), "")
    if text.tool_template is not None or not question or not isinstance(sayings[-1], ToolResult):
        return sayings
    return [*sayings, User(text=f"{question} Answer in a sentence.")]
