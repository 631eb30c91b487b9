"""Holds JSON against OpenAI's own specification, strictly: a field that it does not know, a required field that is missing, a value
outside an enumeration are errors."""

import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.server.api.schema.cut import DATA, REF
from tests.server.api.schema.extensions import ALTERNATIVES, EXTENSIONS, FREE, NULLABLE, REPLACED

Json = Any
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


@dataclass(frozen=True)
class Fault:
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


@cache
def specification() -> Json:
    """As cut.py has cut it."""
    return json.loads(gzip.decompress(DATA.read_bytes()))


def faults(name: str, value: Json) -> list[str]:
    """Of `value` as a schema of that name; [] where it is right."""
    return faults_by({"$ref": REF + name}, value, name)


def faults_by(schema: Json, value: Json, name: str) -> list[str]:
    return [str(fault) for fault in _check(schema, value, name)]


def expect(name: str, value: Json) -> None:
    assert not (found := faults(name, value)), "\n".join([*found[:20], json.dumps(value)[:2000]])


def _check(schema: Json, value: Json, path: str) -> list[Fault]:
    found = _check_plain(schema, value, path)
    other = ALTERNATIVES.get(_field(path)) if found else None
    return found if other is None or _check_plain({"$ref": REF + other}, value, path) else []


def _check_plain(schema: Json, value: Json, path: str) -> list[Fault]:
    if value is None and (schema.get("nullable") or _allows_null(schema) or _is_nullable_element(path)):
        return []
    merged = _merged(schema)
    if "anyOf" in merged:
        return _alternatives(merged, value, path)
    found = list(_scalar(merged, value, path))
    if found:
        return found
    if isinstance(value, dict):
        return [*_object(merged, value, path)]
    if isinstance(value, list):
        return [fault for i, one in enumerate(value) for fault in _check(merged.get("items", {}), one, f"{path}[{i}]")]
    return []


def _field(path: str) -> str:
    """The last one, with [] behind it for the elements of a list."""
    return re.sub(r"\[\d+\]", "[]", path.rpartition(".")[2])


def _is_nullable_element(path: str) -> bool:
    found = re.search(r"\.(\w+)\[\d+\]$", path)
    return found is not None and "[]" in NULLABLE.get(found[1], {})


def _allows_null(schema: Json) -> bool:
    resolved = _resolved(schema)
    kinds = resolved.get("type")
    return kinds == "null" or (isinstance(kinds, list) and "null" in kinds)


def _resolved(schema: Json) -> Json:
    """Follows references. What stands beside one is a description."""
    while "$ref" in schema:
        name = schema["$ref"].removeprefix(REF)
        schema = {**(REPLACED.get(name) or specification()["schemas"][name]), "name": name}
    return schema


def _merged(schema: Json) -> Json:
    """With the parts of allOf in one, and all alternatives as anyOf. `names`: of the schemas that it is made of."""
    resolved = dict(_resolved(schema))
    resolved["names"] = {resolved["name"]} if "name" in resolved else set()
    if "oneOf" in resolved:
        resolved["anyOf"] = [*resolved.get("anyOf", []), *resolved.pop("oneOf")]
    for part in (_merged(part) for part in resolved.pop("allOf", [])):
        resolved = _joined(resolved, part)
    return resolved


def _joined(one: Json, other: Json) -> Json:
    """A later part of an allOf narrows the fields that it names again."""
    properties = {**one.get("properties", {}), **other.get("properties", {})}
    joined = {**one, **other, "names": one["names"] | other["names"]}
    joined["required"] = [*one.get("required", []), *other.get("required", [])]
    if properties:
        joined["properties"] = properties
    return joined


def _alternatives(merged: Json, value: Json, path: str) -> list[Fault]:
    """The faults of the alternative that comes nearest. Fields beside the alternatives belong to each."""
    beside = {key: item for key, item in merged.items() if key in ("properties", "required", "names", "additionalProperties")}
    best: list[Fault] | None = None
    for alternative in merged["anyOf"]:
        found = _check(_with(alternative, beside), value, path)
        if not found:
            return []
        if best is None or _nearness(found, path) > _nearness(best, path):
            best = found
    return best or []


def _with(alternative: Json, beside: Json) -> Json:
    if not beside.get("properties"):
        return alternative
    return {"allOf": [{key: item for key, item in beside.items() if key != "names"}, alternative]}


def _nearness(found: list[Fault], path: str) -> tuple[bool, bool, int]:
    """Another `type` is another alternative; so is another kind of value."""
    kinds = any(re.search(r"\.(type|role|object)$", fault.path) for fault in found)
    whole = any(fault.path == path and " is no " in fault.message for fault in found)
    return not kinds, not whole, -len(found)


def _scalar(merged: Json, value: Json, path: str) -> Iterator[Fault]:
    kinds = merged.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is(kind, value) for kind in kinds):
        yield Fault(path, f"{value!r:.80} is no {' or '.join(kinds)}")
        return
    if "enum" in merged and value not in merged["enum"] and _field(path) not in FREE:
        yield Fault(path, f"{value!r:.80} is none of {merged['enum']}")
    if "const" in merged and value != merged["const"]:
        yield Fault(path, f"{value!r:.80} is not {merged['const']!r}")
    yield from _limits(merged, value, path)


def _is(kind: str, value: Json) -> bool:
    return isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _limits(merged: Json, value: Json, path: str) -> Iterator[Fault]:
    size = len(value) if isinstance(value, str | list) else value
    word = "Length" if isinstance(value, str) else "Items"
    low, high = (f"min{word}", f"max{word}") if isinstance(value, str | list) else ("minimum", "maximum")
    if isinstance(size, int | float) and not isinstance(size, bool):
        if low in merged and size < merged[low]:
            yield Fault(path, f"{size} is less than {merged[low]}")
        if high in merged and size > merged[high]:
            yield Fault(path, f"{size} is more than {merged[high]}")
    if isinstance(value, str) and "pattern" in merged and not re.search(merged["pattern"], value):
        yield Fault(path, f"{value!r} does not match {merged['pattern']}")


def _object(merged: Json, value: Json, path: str) -> Iterator[Fault]:
    properties = merged.get("properties", {})
    others = merged.get("additionalProperties", not properties)  # without any field it is a free object
    known_as = merged["names"] or {_field(path)}  # the field, for a schema without a name
    nullable = {name for schema in known_as for name in NULLABLE.get(schema, {})}
    extensions = {name for schema in known_as for name in EXTENSIONS.get(schema, {})}
    for name in merged.get("required", []):
        if name not in value:
            yield Fault(path, f"lacks {name}")
    for name, given in value.items():
        if given is None and name in nullable:
            continue
        if name in properties:
            yield from _check(properties[name], given, f"{path}.{name}")
        elif isinstance(others, dict):
            yield from _check(others, given, f"{path}.{name}")
        elif others is not True and name not in extensions and name not in merged.get("required", []):
            yield Fault(path, f"has {name}, which the specification does not know")
