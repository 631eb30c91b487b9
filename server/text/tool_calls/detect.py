"""Finds the dialect in which a checkpoint writes its tool calls, from its chat template: that shows the model its earlier calls."""

from collections.abc import Container

from server.text.tool_calls.api import Dialect
from server.text.tool_calls.dialects.deepseek import DEEPSEEK, DEEPSEEK_V31
from server.text.tool_calls.dialects.generic import GENERIC
from server.text.tool_calls.dialects.harmony import HARMONY
from server.text.tool_calls.dialects.hermes import HERMES
from server.text.tool_calls.dialects.kimi import KIMI
from server.text.tool_calls.dialects.llama import LLAMA
from server.text.tool_calls.dialects.mistral import MISTRAL, MISTRAL_ARGS, MISTRAL_SPACED
from server.text.tool_calls.dialects.pythonic import LFM2, PYTHONIC
from server.text.tool_calls.dialects.qwen3_coder import QWEN3_CODER

# the first whose strings all occur wins; more specific ones come first
SIGNATURES: tuple[tuple[tuple[str, ...], Dialect], ...] = (
    (("<|channel|>commentary", "functions."), HARMONY),
    (("<｜tool▁calls▁begin｜>", "```json"), DEEPSEEK),
    (("<｜tool▁calls▁begin｜>",), DEEPSEEK_V31),
    (("<|tool_calls_section_begin|>",), KIMI),
    (("[TOOL_CALLS]", "[ARGS]"), MISTRAL_ARGS),
    (("[TOOL_CALLS] [",), MISTRAL_SPACED),
    (("[TOOL_CALLS]",), MISTRAL),
    (("<function=", "<parameter="), QWEN3_CODER),
    (("<|tool_call_start|>",), LFM2),
    (("<tool_call>",), HERMES),
    (("<|python_start|>",), PYTHONIC),
    (('"parameters": ',), LLAMA),
)


def detect_dialect(source: str | None, tokens: Container[str]) -> Dialect:
    """`source`: the chat template, None if it does not support tools; `tokens`: the added tokens. A template that supports tools in an
    unknown dialect gets the most common one, Hermes's; the grammar makes the model write it."""
    if source is None:
        return GENERIC
    for strings, dialect in SIGNATURES:
        if all(string in source or string in tokens for string in strings):
            return dialect
    return HERMES
