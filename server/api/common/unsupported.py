"""What the specification has and this server does not do. Its shape is described and checked like any other, so that a client
generated from the specification fits; using it is refused, and the field is named. UNSUPPORTED does that for fields; variants of
unions are refused where they are read (server/api/chat_completions/messages.py and tools.py)."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from server.http.fields import STRICT

T = TypeVar("T")


def _refuse(value: T) -> T:
    if value is not None and value != []:
        raise PydanticCustomError("unsupported", "This server does not support this; leave it out")
    return value


UNSUPPORTED = AfterValidator(_refuse)


def supports_only(*taken: Any) -> AfterValidator:
    """Of the values that the specification has, these; and null."""

    def check(value: T) -> T:
        if value is not None and value not in taken:
            raise PydanticCustomError("unsupported", "This server only supports {taken} here", {"taken": " and ".join(map(repr, taken))})
        return value

    return AfterValidator(check)


def _null_or(harmless: object) -> BeforeValidator:
    """Accepts null and `harmless`, the value that changes nothing, and makes both None."""

    def check(value: Any) -> None:
        if value is not None and (type(value) is not type(harmless) or value != harmless):
            raise PydanticCustomError("unsupported", "This server does not support this field; leave it out")

    return BeforeValidator(check)


def _schema(*alternatives: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [*alternatives, {"type": "null"}], "description": "Not supported."})


Refused = Annotated[None, _null_or(None), _schema()]
Off = Annotated[None, _null_or(False), _schema({"const": False})]


class PromptCacheBreakpoint(BaseModel):
    """Prefixes are cached wherever they end, so a mark changes nothing and is taken."""

    model_config = STRICT
    mode: Literal["explicit"]


class PromptCacheOptions(BaseModel):
    model_config = STRICT
    ttl: Literal["30m"] | None = None
    mode: Literal["implicit", "explicit"] | None = None


class ModerationConfig(BaseModel):
    model_config = STRICT
    mode: Literal["score", "block"]


class ModerationPolicy(BaseModel):
    model_config = STRICT
    input: ModerationConfig | None = None
    output: ModerationConfig | None = None


class Moderation(BaseModel):
    model_config = STRICT
    model: str
    policy: ModerationPolicy | None = None
