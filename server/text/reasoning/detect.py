"""Finds how a checkpoint writes its thoughts, from its chat template: that writes their marks, or takes them out of earlier messages."""

from server.text.reasoning.answer_tags import ERNIE, HUNYUAN
from server.text.reasoning.api import ReasoningFormat
from server.text.reasoning.granite import GRANITE_32, GRANITE_33
from server.text.reasoning.harmony import HARMONY_CHANNELS
from server.text.reasoning.mistral import MISTRAL
from server.text.reasoning.think import MINIMAX_M2, MINIMAX_M3, SEED, THINK

# the first whose strings all occur wins; more specific ones come first
SIGNATURES: tuple[tuple[tuple[str, ...], ReasoningFormat], ...] = (
    (("<|channel|>", "<|message|>"), HARMONY_CHANNELS),
    (("<mm:think>",), MINIMAX_M3),
    (("]~b]", "</think>"), MINIMAX_M2),
    (("<seed:think>",), SEED),
    (("[THINK]",), MISTRAL),
    (("Here is my thought process:",), GRANITE_32),
    (("<think></think>", "<response></response>"), GRANITE_33),
    (("<answer>", "<think>"), HUNYUAN),
    (("<response>", "<think>"), ERNIE),
    (("</think>",), THINK),
)


def detect_reasoning(source: str | None) -> ReasoningFormat | None:
    """`source`: the chat template. None: the model writes no thoughts, or none that could be told apart."""
    if source is None:
        return None
    return next((format for strings, format in SIGNATURES if all(string in source for string in strings)), None)
