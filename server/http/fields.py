"""What the request types share. Shapes only: no behaviour beyond saying what fits.

Every field of OpenAI's specification is here or is refused as unknown; one that this server does not do (`Refused`) takes
nothing but null. Fields marked as extensions are ours.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


def _absent(value: object) -> bool:
    return value is None


OMITTED = Field(exclude_if=_absent)  # in answers: what is not there is left out, as the specification has no null for it

TokenId = Annotated[int, Field(ge=0, lt=2**31)]
Label = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class ErrorBody(BaseModel):
    message: str
    type: str
    param: str | None
    code: str | None


class Error(BaseModel):
    error: ErrorBody
