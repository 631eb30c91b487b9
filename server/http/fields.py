"""Field types and base models that every API uses, whatever it is compatible with."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, RootModel, StringConstraints

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


def _is_none(value: object) -> bool:
    return value is None


OMIT_NONE = Field(exclude_if=_is_none)  # in responses: a field that is None is left out, as the specification does not allow null there

TokenId = Annotated[int, Field(ge=0, lt=2**31)]
Label = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class RawJson(RootModel[dict[str, Any]]):
    """A JSON object from the database, sent as it was stored, whichever version of the server wrote it."""


class ErrorBody(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class Error(BaseModel):
    error: ErrorBody
