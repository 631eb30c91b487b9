"""What OpenAI's server has and this one does not: described in openapi.json beside what is taken, and refused by name."""

from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


@dataclass(frozen=True)
class Beside:
    """An annotation: the type takes what it takes; `others` are known by their `type`. `what` they are, in the plural. `named`: the
    types of more, which are not described."""

    what: str
    others: tuple[type[BaseModel], ...]
    named: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        kinds = frozenset(kind for other in self.others for kind in _kinds(other)) | frozenset(self.named)

        def refuse(given: Any) -> Any:
            if (kind := kind_of(given)) in kinds:
                raise PydanticCustomError("unsupported", "This server has no {what} of type {kind}", {"what": self.what, "kind": kind})
            return given

        return core_schema.no_info_before_validator_function(refuse, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [handler(schema), *(handler(other.__pydantic_core_schema__) for other in self.others)]}


def kind_of(given: Any) -> str:
    """The `type` of a part, an item or a tool, parsed or not."""
    found: Any = given.get("type") if isinstance(given, dict) else getattr(given, "type", None)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return found if isinstance(found, str) else ""


def _kinds(model: type[BaseModel]) -> tuple[str, ...]:
    annotation: Any = model.model_fields["type"].annotation
    assert get_origin(annotation) is Literal
    return get_args(annotation)
