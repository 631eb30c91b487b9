"""A conversation as text, and in pieces that fit the context."""

from collections.abc import Iterator, Sequence

from server.core.messages import Assistant, Message, System, ToolResult, User
from server.core.threads import in_thread_if_large
from server.text.tokenizer import ChatTokenizer

CHARACTERS = 4  # of a token, about: a piece is first tried with so many
SHRINK = 0.9  # a piece that is too long is cut to its share of the tokens, and a little more


def transcript(messages: Sequence[Message]) -> str:
    """Without what the system says: that stays as it is."""
    return "\n\n".join(line for message in messages for line in _lines(message))


def _lines(message: Message) -> Iterator[str]:
    match message:
        case System():
            return
        case User():
            yield f"User: {message.text}"
        case ToolResult():
            yield f"Result of {message.name}: {message.text}"
        case Assistant():
            if message.text:
                yield f"Assistant: {message.text}"
            for call in message.tool_calls:
                yield f"Assistant called {call.name} with {call.arguments}"


async def pieces(tokenizer: ChatTokenizer, text: str, tokens: int) -> list[str]:
    """`text`, cut into pieces of at most `tokens` tokens."""
    found, start = list[str](), 0
    while start < len(text):
        piece = await _fitting(tokenizer, text[start : start + tokens * CHARACTERS], tokens)
        found.append(piece)
        start += len(piece)
    return found


async def _fitting(tokenizer: ChatTokenizer, piece: str, tokens: int) -> str:
    """The beginning of `piece`, at least one character."""
    while True:
        needed = len(await in_thread_if_large(len(piece), tokenizer.encode, piece))
        if needed <= tokens or len(piece) == 1:
            return piece
        piece = piece[: max(1, int(len(piece) * tokens / needed * SHRINK))]
