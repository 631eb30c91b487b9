"""Search queries for a conversation. A follow-up ("And when was he born?") is rewritten by the chat model so that it can be understood on
its own; the rewriting is used only if all its words are from the conversation, and always beside the original question."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from engine.api import EngineError, Request, Sampling
from retrieval.analysis.terms import terms
from server.chat.grounding.follow_up import joined_query
from server.chat.grounding.small_talk import is_small_talk
from server.core.messages import Assistant, Message, User
from server.runtime.runtime import Runtime
from server.text.control_tokens import NoUnusedCharacter
from server.text.prompt import Prompt
from server.text.template import TemplateRefused
from server.text.tokenizer import NoChatTemplate

MAX_QUERY = 2000  # characters
CONTEXT_MESSAGES, MESSAGE_CHARACTERS = 4, 600  # of the conversation in the prompt; characters of each
MAX_REWRITE_TOKENS = 64
REWRITE_TIMEOUT = 8.0  # seconds
REWRITE_PROMPT = (
    "Here is a conversation:\n\n{conversation}\n\nWrite the user's last question again so that it can be understood on its own: put the "
    "names in the place of words like he, it, they, this. Write the question and nothing else.\n\nLast question: {question}"
)


@dataclass(frozen=True)
class ConversationTurn:
    role: str  # user or assistant
    text: str


def conversation_of(messages: Sequence[Message]) -> list[ConversationTurn]:
    """The turns up to the user's last question, without system messages, tool calls and results."""
    turns = [
        ConversationTurn("user" if isinstance(message, User) else "assistant", message.text)
        for message in messages
        if isinstance(message, User | Assistant)
    ]
    last = max((i for i, turn in enumerate(turns) if turn.role == "user"), default=-1)
    return turns[: last + 1]


def previous_question(conversation: Sequence[ConversationTurn]) -> str | None:
    """The user's question before the last turn, small talk aside. None: there is none, or the last turn is small talk."""
    if is_small_talk(conversation[-1].text):
        return None
    earlier = (turn.text for turn in reversed(conversation[:-1]) if turn.role == "user" and turn.text.strip())
    return next((_truncate(text) for text in earlier if not is_small_talk(text)), None)


async def search_queries(runtime: Runtime, conversation: Sequence[ConversationTurn]) -> tuple[str, ...]:
    """The queries; the question, with which the conversation ends, comes first. If there was one before it, a second query is the
    rewritten question or, failing that, both questions joined."""
    question = _truncate(conversation[-1].text)
    before = [turn for turn in conversation[:-1] if turn.text.strip()]
    previous = previous_question(conversation)
    if previous is None or not question:
        return (question,)
    rewritten = await _rewrite(runtime, before, question)
    if rewritten is None or not _is_faithful(rewritten, question, before):
        rewritten = _truncate(joined_query(previous, question))
    return (question, rewritten)


async def _rewrite(runtime: Runtime, before: Sequence[ConversationTurn], question: str) -> str | None:
    """None: the engine is too busy, or the model cannot rewrite."""
    try:
        prompt = _prompt(runtime, before, question)
        async with asyncio.timeout(REWRITE_TIMEOUT):
            return None if prompt is None else await _generate(runtime, prompt)
    except (EngineError, TimeoutError):
        return None


def _prompt(runtime: Runtime, before: Sequence[ConversationTurn], question: str) -> Prompt | None:
    transcript = "\n".join(f"{turn.role.capitalize()}: {turn.text[:MESSAGE_CHARACTERS]}" for turn in before[-CONTEXT_MESSAGES:])
    instruction = REWRITE_PROMPT.format(conversation=transcript, question=question)
    variables = runtime.tokenizer.thought_controls.off
    try:
        prompt = runtime.tokenizer.encode_chat([{"role": "user", "content": instruction}], variables)
    except (NoChatTemplate, TemplateRefused, NoUnusedCharacter):
        return None
    thinks = prompt.place == "thoughts" or (prompt.place == "before" and not variables)
    return None if thinks or len(prompt.tokens) + MAX_REWRITE_TOKENS > runtime.engine.info.context else prompt


async def _generate(runtime: Runtime, prompt: Prompt) -> str:
    sampling = Sampling(max_tokens=MAX_REWRITE_TOKENS, temperature=0.0, stop_tokens=runtime.tokenizer.stop_tokens)
    deltas = cast(Any, runtime.engine.generate(Request(tokens=prompt.tokens, sampling=sampling)))
    generated: list[int] = []
    async with aclosing(deltas):
        async for delta in deltas:
            generated += delta.tokens
            if delta.finish:
                break
    return runtime.tokenizer.decode([token for token in generated if token not in runtime.tokenizer.stop_tokens]).strip()


def _is_faithful(rewritten: str, question: str, before: Sequence[ConversationTurn]) -> bool:
    """Whether it is one line that adds words to the question, all of them from the conversation."""
    asked = frozenset(terms(question))
    known = asked.union(*(terms(turn.text) for turn in before))
    words = frozenset(terms(rewritten))
    return "\n" not in rewritten and len(rewritten) <= MAX_QUERY and asked != words and bool(words & asked) and words <= known


def _truncate(text: str) -> str:
    """The end, where the question is, without NUL, which databases cannot store."""
    return text[-MAX_QUERY:].replace("\0", " ").strip()
