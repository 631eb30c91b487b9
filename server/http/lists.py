"""Types and helpers for OpenAI's list endpoints, metadata maps and ids."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Generic, Literal, Protocol, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from retrieval.records import PageRequest
from server.http.fields import RawJson

QUERY = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
Item = TypeVar("Item")
List = TypeVar("List", bound=BaseModel)
MAX_EXACT_INT = 2**53  # larger integers lose precision in JSON parsers that read them as doubles
NO_NUL = r"^[^\x00]*$"  # databases reject NUL characters


def _expect_exact(value: int | float) -> int | float:
    if isinstance(value, int) and abs(value) > MAX_EXACT_INT:
        raise PydanticCustomError("too_large", "Input should be no integer beyond 2**53: it would not stay the same")
    return value


ExactNumber = Annotated[int | float, AfterValidator(_expect_exact)]
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
Name = Annotated[str, StringConstraints(max_length=256, pattern=NO_NUL)]
MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=NO_NUL)]
MetadataValue = Annotated[str, StringConstraints(max_length=512, pattern=NO_NUL)]
Metadata = Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)]
Attributes = Annotated[dict[MetadataKey, MetadataValue | bool | ExactNumber], Field(max_length=16)]


def _expect_digits(value: Any) -> Any:
    """Integers in a query string: digits alone, without sign, space or underscore."""
    if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) <= 9):
        raise PydanticCustomError("int_parsing", "Input should be a valid integer")
    return value


QueryInt = Annotated[int, BeforeValidator(_expect_digits)]
Order = Literal["asc", "desc"]


class NoQuery(BaseModel):
    model_config = QUERY


class ListQuery(BaseModel):
    model_config = QUERY
    limit: Annotated[QueryInt, Field(ge=1, le=100)] = 20
    order: Order = "desc"
    after: Id | None = None
    before: Id | None = None


class ListObject(BaseModel, Generic[Item]):
    """One page of a list. `first_id` and `last_id` are "" where it is empty."""

    object: Literal["list"] = "list"
    data: list[Item]
    first_id: str
    last_id: str
    has_more: bool


class _HasId(Protocol):
    id: str


def to_page_request(query: ListQuery) -> PageRequest:
    return PageRequest(limit=query.limit, order=query.order, after=query.after, before=query.before)


def to_list_object(model: Callable[..., List], data: Sequence[_HasId], has_more: bool) -> List:
    """`model`: the ListObject of these items."""
    first, last = _first_and_last([item.id for item in data])
    return model(data=data, first_id=first, last_id=last, has_more=has_more)


def to_raw_list_object(data: Sequence[Mapping[str, Any]], has_more: bool) -> RawJson:
    """A list object of items that are JSON already."""
    first, last = _first_and_last([item["id"] for item in data])
    return RawJson({"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more})


def _first_and_last(ids: Sequence[str]) -> tuple[str, str]:
    return (ids[0], ids[-1]) if ids else ("", "")
