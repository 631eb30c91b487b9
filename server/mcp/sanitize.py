"""Text from MCP servers made safe to show and log: invisible characters removed, secrets redacted, length limited; and error texts."""

import re
from collections.abc import Iterable
from typing import Literal, cast

from server.core.tool_host import ToolFault, ToolOutcome

MAX_MESSAGE_CHARS = 500
MIN_SECRET_CHARS = 4  # shorter secrets are not redacted: they would match unrelated text
# Control characters, zero-width and bidirectional formatting characters, variation selectors and Unicode tags.
INVISIBLE = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u200b\u2060-\u2064\u202a-\u202e\u2066-\u2069\ufe00-\ufe0f\ufeff\U000e0000-\U000e01ef]"
)


def remove_invisible(text: str) -> str:
    """Removes characters that a model reads but a person does not see: they can carry hidden instructions."""
    return INVISIBLE.sub("", text)


def redact_secrets(text: str, secrets: Iterable[str]) -> str:
    """Replaces each secret with ***, the longest first."""
    for secret in sorted((secret for secret in secrets if len(secret) >= MIN_SECRET_CHARS), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def sanitize(text: str, secrets: Iterable[str] = ()) -> str:
    """One line of at most MAX_MESSAGE_CHARS, without secrets and invisible characters."""
    text = " ".join(remove_invisible(redact_secrets(text, secrets)).split())
    return text if len(text) <= MAX_MESSAGE_CHARS else f"{text[:MAX_MESSAGE_CHARS]}..."


def describe_error(error: BaseException) -> str:
    """The error's message, or its type's name where it has none. Of an exception group: its first error, which caused the others."""
    if isinstance(error, BaseExceptionGroup):
        return describe_error(cast("BaseExceptionGroup[BaseException]", error).exceptions[0])
    if isinstance(error, TimeoutError):
        return str(error) or "it did not answer in time"
    return str(error) or type(error).__name__


def fault_outcome(
    kind: Literal["execution", "protocol", "http", "timeout", "unavailable"], message: str, code: int | None = None
) -> ToolOutcome:
    return ToolOutcome(text=message, fault=ToolFault(kind=kind, message=message, code=code))


def approval_hint(label: str) -> str:
    return f"it is not as the operator approved it, and is withheld until they say: stoa mcp approve {label}"
