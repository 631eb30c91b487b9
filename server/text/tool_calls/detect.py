"""Which dialect a checkpoint writes its tool calls in. The template says it: it shows the model how its calls have looked."""

from collections.abc import Container

from server.text.tool_calls.api import Dialect
from server.text.tool_calls.dialects.deepseek import BARE, DEEPSEEK
from server.text.tool_calls.dialects.generic import GENERIC
from server.text.tool_calls.dialects.harmony import HARMONY
from server.text.tool_calls.dialects.hermes import HERMES
from server.text.tool_calls.dialects.llama import LLAMA
from server.text.tool_calls.dialects.mistral import ARGUED, MISTRAL, SPACED
from server.text.tool_calls.dialects.pythonic import LFM, PYTHONIC
from server.text.tool_calls.dialects.qwen3_coder import CODER

# the first whose words all occur is it; those that are more special stand first
SIGNATURES: tuple[tuple[tuple[str, ...], Dialect], ...] = (
    (("<|channel|>", "to=functions."), HARMONY),
    (("<｜tool▁calls▁begin｜>", "```json"), DEEPSEEK),
    (("<｜tool▁calls▁begin｜>",), BARE),
    (("[TOOL_CALLS]", "[ARGS]"), ARGUED),
    (("[TOOL_CALLS] [",), SPACED),
    (("[TOOL_CALLS]",), MISTRAL),
    (("<function=", "<parameter="), CODER),
    (("<|tool_call_start|>",), LFM),
    (("<tool_call>",), HERMES),
    (("<|python_start|>",), PYTHONIC),
    (('"parameters": ',), LLAMA),
)


def detect_dialect(source: str | None, tokens: Container[str]) -> Dialect:
    """From the source of its chat template and its added tokens. `source` None: a template that knows no tools. One that knows
    tools but whose dialect nobody here has described is taken for the commonest, Hermes's: the grammar makes it so."""
    if source is None:
        return GENERIC
    for words, dialect in SIGNATURES:
        if all(word in source or word in tokens for word in words):
            return dialect
    return HERMES
