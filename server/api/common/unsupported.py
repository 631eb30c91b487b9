"""Fields of the specification that this server refuses. Their types are described and validated like others, so that clients generated
from the specification fit; a value is refused with an error that names the field. Union variants are refused where they are
read (server/api/chat_completions/messages.py and tools.py)."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, LiteralString

from pydantic import BaseModel, BeforeValidator, GetCoreSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from server.http.fields import STRICT


@dataclass(frozen=True)
class Unsupported:
    """Annotates a field of which nothing but null and an empty list is accepted."""

    code: LiteralString = "unsupported"
    reason: LiteralString = "This server does not support this; leave it out"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: Any) -> Any:
        if value is not None and value != []:
            raise PydanticCustomError(self.code, self.reason)
        return value


@dataclass(frozen=True)
class SupportsOnly:
    """Annotates a field of which only some of the values that the specification has are accepted, and null."""

    values: tuple[Any, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: Any) -> Any:
        if value is not None and value not in self.values:
            names = " and ".join(map(repr, self.values))
            raise PydanticCustomError("unsupported", "This server only supports {taken} here", {"taken": names})
        return value


UNSUPPORTED = Unsupported()


def supports_only(*values: Any) -> SupportsOnly:
    return SupportsOnly(values)


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
