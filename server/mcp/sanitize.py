"""Words of strangers, made fit for people: short, on one line, without secrets, without what cannot be seen."""

import re
from collections.abc import Iterable
from typing import Literal, cast

from server.core.tool_host import ToolFault, ToolOutcome

LONGEST = 500  # characters
SHORTEST_SECRET = 4  # characters; shorter ones would be found by chance
INVISIBLE = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u200b\u2060-\u2064\u202a-\u202e\u2066-\u2069\ufe00-\ufe0f\ufeff\U000e0000-\U000e01ef]"
)


def visible(text: str) -> str:
    """Without the characters that show nothing and turn nothing but the reading direction: a model reads them, a person does not."""
    return INVISIBLE.sub("", text)


def hidden(text: str, secrets: Iterable[str]) -> str:
    for secret in sorted((known for known in secrets if len(known) >= SHORTEST_SECRET), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def plain(text: str, secrets: Iterable[str] = ()) -> str:
    text = " ".join(visible(hidden(text, secrets)).split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def failure(error: BaseException) -> str:
    """The first of a group, which the others followed from."""
    if isinstance(error, BaseExceptionGroup):
        return failure(cast("BaseExceptionGroup[BaseException]", error).exceptions[0])
    if isinstance(error, TimeoutError):
        return str(error) or "it did not answer in time"
    return str(error) or type(error).__name__


def failed(kind: Literal["execution", "protocol", "http", "timeout", "unavailable"], message: str, code: int | None = None) -> ToolOutcome:
    return ToolOutcome(text=message, fault=ToolFault(kind=kind, message=message, code=code))


def withheld(label: str) -> str:
    return f"it is not as the operator approved it, and is withheld until they say: stoa mcp approve {label}"


def parting(said: str) -> str:
    return f"it went away; it last said: {said[-LONGEST // 2 :]}" if said.strip() else "it went away"
