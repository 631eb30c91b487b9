"""UnsupportedVariants: variants of a union that OpenAI's specification has and this server refuses, but describes in openapi.json."""

from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


@dataclass(frozen=True)
class UnsupportedVariants:
    """Annotates a type whose values have a `type` field. A value with the `type` of one of `models` is refused with a message that
    names it. `what`: plural noun for that message. `undescribed`: further `type`s to refuse, left out of openapi.json."""

    what: str
    models: tuple[type[BaseModel], ...]
    undescribed: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        kinds = frozenset(kind for other in self.models for kind in type_values(other)) | frozenset(self.undescribed)

        def refuse(given: Any) -> Any:
            if (kind := kind_of(given)) in kinds:
                raise PydanticCustomError("unsupported", "This server has no {what} of type {kind}", {"what": self.what, "kind": kind})
            return given

        return core_schema.no_info_before_validator_function(refuse, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [handler(schema), *(handler(other.__pydantic_core_schema__) for other in self.models)]}


def kind_of(given: Any) -> str:
    """The `type` of a JSON object or model; "" if it has none."""
    found: Any = given.get("type") if isinstance(given, dict) else getattr(given, "type", None)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return found if isinstance(found, str) else ""


def type_values(model: type[BaseModel]) -> tuple[str, ...]:
    """The values that `type` may have."""
    annotation: Any = model.model_fields["type"].annotation
    assert get_origin(annotation) is Literal
    return get_args(annotation)
