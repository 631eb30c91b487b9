"""Fields of the specification that this server refuses. Their types are described and validated like others, so that clients generated
from the specification fit; a value is refused with an error that names the field. Union variants are refused where they are
read (server/api/chat_completions/messages.py and tools.py)."""

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


def supports_only(*supported: Any) -> AfterValidator:
    """Accepts only these of the values that the specification has, and null."""

    def check(value: T) -> T:
        if value is not None and value not in supported:
            raise PydanticCustomError(
                "unsupported", "This server only supports {taken} here", {"taken": " and ".join(map(repr, supported))}
            )
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
    """Accepted without effect: prefixes are cached wherever they end."""

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
