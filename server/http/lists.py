"""What OpenAI's lists, maps and ids have in common."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from retrieval.records import Listing

QUERY = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
EXACT = 2**53  # integers up to here are the same to every reader of JSON
CLEAN = r"^[^\x00]*$"  # databases cannot keep a NUL


def _exact(given: int | float) -> int | float:
    if isinstance(given, int) and abs(given) > EXACT:
        raise PydanticCustomError("too_large", "Input should be no integer beyond 2**53: it would not stay the same")
    return given


Real = Annotated[int | float, AfterValidator(_exact)]
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
Name = Annotated[str, StringConstraints(max_length=256, pattern=CLEAN)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=CLEAN)]
Note = Annotated[str, StringConstraints(max_length=512, pattern=CLEAN)]
Metadata = Annotated[dict[Key, Note], Field(max_length=16)]
Attributes = Annotated[dict[Key, Note | bool | Real], Field(max_length=16)]


def _digits(given: Any) -> Any:
    """Numbers of a query string: no sign, no space, no underscore."""
    if isinstance(given, str) and not (given.isascii() and given.isdigit() and len(given) <= 9):
        raise PydanticCustomError("int_parsing", "Input should be a valid integer")
    return given


Number = Annotated[int, BeforeValidator(_digits)]
Order = Literal["asc", "desc"]


class NoQuery(BaseModel):
    model_config = QUERY


class ListQuery(BaseModel):
    model_config = QUERY
    limit: Annotated[Number, Field(ge=1, le=100)] = 20
    order: Order = "desc"
    after: Id | None = None
    before: Id | None = None


def listing(query: ListQuery) -> Listing:
    return Listing(limit=query.limit, order=query.order, after=query.after, before=query.before)


def ends(ids: Sequence[str]) -> tuple[str, str]:
    """first_id and last_id of a list; "" of an empty one."""
    return (ids[0], ids[-1]) if ids else ("", "")
