"""Beginnings of prompts that hold nothing of any client: their place in the prefix cache is everybody's (engine/embedded/memory)."""

from collections.abc import Iterable, Sequence
from itertools import takewhile

from server.text.control_tokens import NoUnusedCharacter
from server.text.template import TemplateMessage, TemplateRefused
from server.text.tokenizer import ChatTokenizer, NoChatTemplate

ENDS = ("a", "Z")  # of two texts that have nothing but their beginning in common


def shared_prefixes(tokenizer: ChatTokenizer, texts: Iterable[str]) -> tuple[tuple[int, ...], ...]:
    """As tokens: what the chat template writes by itself, and each of `texts` as a system message, at the beginning of the user's
    message, and without a template. None of an encoder-decoder: what it goes on from are beginnings of answers."""
    if tokenizer.encoder_decoder is not None:
        return ()
    prompts = [[_encode_chat(tokenizer, [_message("user", end)]) for end in ENDS]]
    for text in texts:
        prompts += [
            [_encode_chat(tokenizer, [_message("system", text), _message("user", end)]) for end in ENDS],
            [_encode_chat(tokenizer, [_message("user", text + end)]) for end in ENDS],
            [tokenizer.encode(text + end, add_special=True) for end in ENDS],
        ]
    return tuple(prefix for pair in prompts if (prefix := _common(*pair)))


def _message(role: str, content: str) -> TemplateMessage:
    return {"role": role, "content": content}


def _encode_chat(tokenizer: ChatTokenizer, messages: Sequence[TemplateMessage]) -> tuple[int, ...]:
    """() where the template refuses such a conversation."""
    try:
        return tokenizer.encode_chat(messages).tokens
    except (NoChatTemplate, TemplateRefused, NoUnusedCharacter):
        return ()


def _common(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...]:
    return tuple(token for token, _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))
