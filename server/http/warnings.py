"""What a request asked for in vain: hints that this server takes without effect, and names in the answer and in a header."""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from server.core.request import RequestWarning

WARNINGS_HEADER = "x-stoa-warnings"  # names of the fields, separated by commas
MAX_HEADER_LENGTH = 1000


@dataclass(frozen=True, slots=True)
class Hint:
    """Annotates a field that has no effect here, as it asks for less, for speed or for a taste: the answer is right without it.
    `silent`: values that are honoured, or ask for what this server does anyway."""

    reason: str
    silent: Container[Any] = ()


@dataclass(frozen=True, slots=True)
class Silent:
    """Annotates a field that is taken without a warning, though nothing in the answer depends on it."""

    reason: str


class WarningObject(BaseModel):
    """A field of the request that had no effect on the response."""

    param: str
    message: str


def hint_warnings(body: BaseModel, prefix: str = "") -> Iterator[RequestWarning]:
    """The hints in `body` and in the objects within it (not in its lists)."""
    for name, field in type(body).model_fields.items():
        value, param = getattr(body, name), prefix + (field.alias or name)
        if isinstance(value, BaseModel):
            yield from hint_warnings(value, f"{param}.")
        if value is not None:
            hints = (hint for hint in field.metadata if isinstance(hint, Hint) and value not in hint.silent)
            yield from (RequestWarning(param=param, message=f"{param} has no effect: {hint.reason}") for hint in hints)


def warning_headers(warnings: Sequence[RequestWarning]) -> Mapping[str, str]:
    """{} where there is nothing to warn of."""
    if not warnings:
        return {}
    names = ", ".join(warning.param for warning in warnings).encode("ascii", "replace").decode()
    return {WARNINGS_HEADER: names[:MAX_HEADER_LENGTH]}


def to_warning_objects(warnings: Sequence[RequestWarning]) -> list[WarningObject] | None:
    """None where there is nothing to warn of."""
    return [WarningObject(param=warning.param, message=warning.message) for warning in warnings] or None
