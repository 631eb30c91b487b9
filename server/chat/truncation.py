"""Truncating a conversation to the context: the oldest messages are dropped, a user's message and what follows it at a time."""

from collections.abc import Sequence

from server.chat.tools.toolset import ToolOffer
from server.chat.turn import CONTEXT_OVERFLOW, Turn, build_turn
from server.core.errors import ApiError
from server.core.messages import Message, System, User
from server.core.request import GenerationRequest
from server.runtime.runtime import Runtime


async def fit_turn(
    runtime: Runtime, request: GenerationRequest, messages: Sequence[Message], offer: ToolOffer, left: int | None
) -> tuple[Sequence[Message], Turn]:
    """The next turn and the messages in its prompt: all of them or, where the context is too small and the request allows truncation,
    as many as fit, found by bisection. Raises ApiError."""
    try:
        return messages, await build_turn(runtime, request, messages, offer, left)
    except ApiError as error:
        ends = droppable_prefixes(messages) if request.truncate and error.code == CONTEXT_OVERFLOW else []
        if not ends:
            raise
    kept = without_prefix(messages, ends[-1])
    found, fits, fails = (kept, await build_turn(runtime, request, kept, offer, left)), len(ends) - 1, -1
    while fits - fails > 1:
        middle = (fits + fails) // 2
        kept = without_prefix(messages, ends[middle])
        try:
            found, fits = (kept, await build_turn(runtime, request, kept, offer, left)), middle
        except ApiError as error:
            if error.code != CONTEXT_OVERFLOW:
                raise
            fails = middle
    return found


def droppable_prefixes(messages: Sequence[Message]) -> list[int]:
    """Ends of the prefixes that may be dropped, shortest first: each before a user's message, and never past the last of these."""
    last = max((i for i, message in enumerate(messages) if isinstance(message, User)), default=0)
    oldest = next((i for i, message in enumerate(messages[:last]) if not isinstance(message, System)), last)
    return [i for i in range(oldest + 1, last + 1) if isinstance(messages[i], User)]


def without_prefix(messages: Sequence[Message], end: int) -> list[Message]:
    """Without the messages before `end`, but with the system messages among them."""
    return [*(message for message in messages[:end] if isinstance(message, System)), *messages[end:]]
