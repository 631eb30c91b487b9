"""A follow-up ("And when was he born?") as a question that can be searched for on its own.
The chat model writes it; what it writes is only used if it adds no word of its own, and always beside the question as it was asked."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from engine.api import EngineError, Request, Sampling
from retrieval.search.lexical import terms
from server.chat.grounding.follow_up import joined_query
from server.chat.grounding.small_talk import is_small_talk
from server.core.messages import Assistant, Message, User
from server.runtime.runtime import Runtime
from server.text.control_tokens import NoUnusedCharacter
from server.text.template import TemplateRefused
from server.text.tokenizer import NoChatTemplate, Prompt

MAX_QUERY = 2000  # characters of a query
CONTEXT_MESSAGES, MESSAGE_CHARACTERS = 4, 600  # how much of the conversation the model gets to see: messages, characters of each
MAX_REWRITE_TOKENS = 64  # tokens
REWRITE_TIMEOUT = 8.0  # seconds that a busy engine is waited for
REWRITE_PROMPT = (
    "Here is a conversation:\n\n{talk}\n\nWrite the user's last question again so that it can be understood on its own: put the "
    "names in the place of words like he, it, they, this. Write the question and nothing else.\n\nLast question: {question}"
)


@dataclass(frozen=True)
class ConversationTurn:
    role: str  # user or assistant
    text: str


def conversation_of(sayings: Sequence[Message]) -> list[ConversationTurn]:
    """Up to the user's last question: without instructions, and without what tools were asked and said."""
    turns = [
        ConversationTurn("user" if isinstance(said, User) else "assistant", said.text)
        for said in sayings
        if isinstance(said, User | Assistant)
    ]
    last = max((i for i, turn in enumerate(turns) if turn.role == "user"), default=-1)
    return turns[: last + 1]


def previous_question(talk: Sequence[ConversationTurn]) -> str | None:
    """What was asked last before the last turn, courtesies aside. None: that turn stands on its own, or is a courtesy itself."""
    if is_small_talk(talk[-1].text):
        return None
    asked = (turn.text for turn in reversed(talk[:-1]) if turn.role == "user" and turn.text.strip() and not is_small_talk(turn.text))
    return next(map(_clipped, asked), None)


async def search_queries(runtime: Runtime, talk: Sequence[ConversationTurn]) -> tuple[str, ...]:
    """What to search for; `talk` ends with the question, which comes first. A follow-up has a second query: the question
    rewritten or, where that fails, together with the one before it."""
    question = _clipped(talk[-1].text)
    before = [turn for turn in talk[:-1] if turn.text.strip()]
    asked = previous_question(talk)
    if asked is None or not question:
        return (question,)
    written = await _written(runtime, before, question)
    if written is None or not _faithful(written, question, before):
        written = _clipped(joined_query(asked, question))
    return (question, written)


async def _written(runtime: Runtime, before: Sequence[ConversationTurn], question: str) -> str | None:
    """None: the model is too busy, or cannot be asked."""
    try:
        prompt = _prompt(runtime, before, question)
        async with asyncio.timeout(REWRITE_TIMEOUT):
            return None if prompt is None else await _said(runtime, prompt)
    except (EngineError, TimeoutError):
        return None


def _prompt(runtime: Runtime, before: Sequence[ConversationTurn], question: str) -> Prompt | None:
    talk = "\n".join(f"{turn.role.capitalize()}: {turn.text[:MESSAGE_CHARACTERS]}" for turn in before[-CONTEXT_MESSAGES:])
    words = REWRITE_PROMPT.format(talk=talk, question=question)
    known = runtime.tokenizer.template.variables if runtime.tokenizer.template else frozenset[str]()
    variables: dict[str, Any] = {"enable_thinking": False} if "enable_thinking" in known else {}
    try:
        prompt = runtime.tokenizer.chat([{"role": "user", "content": words}], variables)
    except (NoChatTemplate, TemplateRefused, NoUnusedCharacter):
        return None
    thinks = prompt.thinking or (runtime.tokenizer.has_reasoning and not variables)
    return None if thinks or len(prompt.tokens) + MAX_REWRITE_TOKENS > runtime.engine.info.context else prompt


async def _said(runtime: Runtime, prompt: Prompt) -> str:
    sampling = Sampling(max_tokens=MAX_REWRITE_TOKENS, temperature=0.0, stop_tokens=runtime.tokenizer.stop_tokens)
    deltas = cast(Any, runtime.engine.generate(Request(tokens=prompt.tokens, sampling=sampling)))
    said: list[int] = []
    async with aclosing(deltas):
        async for delta in deltas:
            said += delta.tokens
            if delta.finish:
                break
    return runtime.tokenizer.decode([token for token in said if token not in runtime.tokenizer.stop_tokens]).strip()


def _faithful(written: str, question: str, before: Sequence[ConversationTurn]) -> bool:
    """Whether it is one line that says more than the question, in words of the conversation alone."""
    asked = frozenset(terms(question))
    known = asked.union(*(terms(turn.text) for turn in before))
    words = frozenset(terms(written))
    return "\n" not in written and len(written) <= MAX_QUERY and asked != words and bool(words & asked) and words <= known


def _clipped(text: str) -> str:
    """Its end, where questions stand; databases cannot keep a NUL."""
    return text[-MAX_QUERY:].replace("\0", " ").strip()
