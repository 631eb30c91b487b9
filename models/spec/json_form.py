"""An architecture as JSON and back: every value of the vocabulary is an object whose "type" is its class, with the fields
that differ from their defaults. Equal layers in a row are written once, with "times".

    {"dim": 64, "vocab": 256, "context": 128, "layers": [
        {"times": 4, "mixer": {"type": "Attention", "heads": 4, "kv_heads": 2, "head_dim": 16,
                               "mask": {"type": "Window", "size": 32}, "position": {"type": "Alibi"}},
         "ffn": {"type": "MoE", "experts": 8, "active": 2, "hidden": 96, "router": {"type": "Softmax"}}}]}
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from difflib import get_close_matches
from itertools import groupby
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from models.spec.arch import Arch, Layer, Tower

T = TypeVar("T")
VERSION = 1


class SpecError(ValueError):
    """Names the path of the field that is wrong, and what may stand there."""


def to_json(arch: Arch) -> dict[str, Any]:
    written = _with_runs(arch)
    return written if arch.encoder is None else written | {"encoder": _with_runs(arch.encoder)}


def from_json(value: Any, path: str = "arch") -> Arch:
    """Raises SpecError."""
    if not isinstance(value, dict):
        raise SpecError(f"{path} must be an object, not {_shown(value)}")
    given = cast(dict[str, Any], value)
    if given.get("encoder") is None:
        return _stack(Arch, given, path)
    encoder = _tower(given["encoder"], f"{path}.encoder")
    return _stack(Arch, {key: item for key, item in given.items() if key != "encoder"}, path, encoder=encoder)


def _tower(value: Any, path: str) -> Tower:
    if not isinstance(value, dict):
        raise SpecError(f"{path} must be an object, not {_shown(value)}")
    return _stack(Tower, cast(dict[str, Any], value), path)


def _stack(cls: type[T], given: Mapping[str, Any], path: str, **ready: Any) -> T:
    layers = _read_layers(given.get("layers"), f"{path}.layers")
    return _object(cls, {key: item for key, item in given.items() if key != "layers"}, path, layers=layers, **ready)


def _with_runs(stack: Arch | Tower) -> dict[str, Any]:
    return _bare(_written(stack)) | {"layers": _runs(stack.layers)}


def _runs(layers: Sequence[Layer]) -> list[dict[str, Any]]:
    runs = [(layer, len(list(same))) for layer, same in groupby(layers)]
    return [({"times": count} if count > 1 else {}) | _bare(_written(layer)) for layer, count in runs]


def _bare(written: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in written.items() if key != "type"}


def _written(value: Any) -> Any:
    if is_dataclass(value):
        changed = {field.name: getattr(value, field.name) for field in fields(value) if getattr(value, field.name) != field.default}
        return {"type": type(value).__name__} | {name: _written(item) for name, item in changed.items()}
    if isinstance(value, tuple):
        return [_written(item) for item in cast(tuple[Any, ...], value)]
    return value


def _read_layers(value: Any, path: str) -> tuple[Layer, ...]:
    if not isinstance(value, list) or not value:
        raise SpecError(f"{path} must be a list of at least one layer")
    layers: list[Layer] = []
    for i, item in enumerate(cast(list[Any], value)):
        layers += _read_run(item, f"{path}[{i}]")
    return tuple(layers)


def _read_run(item: Any, path: str) -> list[Layer]:
    if not isinstance(item, dict):
        raise SpecError(f"{path} must be an object, not {_shown(item)}")
    given = dict(cast(dict[str, Any], item))
    times = given.pop("times", 1)
    if type(times) is not int or not 1 <= times <= 1000:
        raise SpecError(f"{path}.times must be an integer from 1 to 1000, not {_shown(times)}")
    return [_object(Layer, given, path)] * times


def _object(cls: type[T], given: Mapping[str, Any], path: str, **ready: Any) -> T:
    """`ready`: fields that are read already."""
    known = {field.name: field for field in fields(cast(Any, cls)) if field.name not in ready}
    for name in given:
        if name not in known:
            raise SpecError(f"{path}.{name} is unknown{_hint(name, known)}; {cls.__name__} has {', '.join(known)}")
    hints = get_type_hints(cls)
    values = {name: _value(hints[name], given[name], f"{path}.{name}") for name in given}
    for name, field in known.items():
        if name not in given and _required(field):
            raise SpecError(f"{path}.{name} is missing: {_expected(hints[name])}")
    return cls(**values, **ready)


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _value(kind: Any, value: Any, path: str) -> Any:
    """`value` as `kind`, which may be a union of the vocabulary's classes."""
    choices = get_args(kind) if _is_union(kind) else (kind,)
    classes = {cls.__name__: cls for cls in choices if _is_class(cls)}
    if isinstance(value, dict) and classes:
        return _typed(classes, cast(dict[str, Any], value), path)
    for choice in choices:
        if (read := _simple(choice, value, path)) is not _NOTHING:
            return read
    raise SpecError(f"{path} must be {_expected(kind)}, not {_shown(value)}")


def _typed(classes: Mapping[str, Any], value: dict[str, Any], path: str) -> Any:
    """The type may be left out where there is only one."""
    name = value.get("type", next(iter(classes)) if len(classes) == 1 else None)
    if name not in classes:
        raise SpecError(f"{path}.type must be {' or '.join(classes)}{_hint(str(name), classes)}")
    return _object(classes[name], {key: item for key, item in value.items() if key != "type"}, path)


_NOTHING = object()


def _simple(kind: Any, value: Any, path: str) -> Any:
    if get_origin(kind) is Literal:
        return value if value in get_args(kind) else _NOTHING
    if get_origin(kind) is tuple:
        return _tuple(get_args(kind)[0], value, path)
    if kind is float:
        return float(value) if type(value) in (int, float) else _NOTHING
    if kind in (int, bool, str):
        return value if type(value) is kind else _NOTHING
    return None if kind is NoneType and value is None else _NOTHING


def _tuple(kind: Any, value: Any, path: str) -> Any:
    if not isinstance(value, list):
        return _NOTHING
    return tuple(_value(kind, item, f"{path}[{i}]") for i, item in enumerate(cast(list[Any], value)))


def _is_class(kind: Any) -> bool:
    """One of the vocabulary's."""
    return is_dataclass(kind)


def _is_union(kind: Any) -> bool:
    return isinstance(kind, UnionType) or get_origin(kind) is Union


def _expected(kind: Any) -> str:
    """What may stand in a field, in words."""
    if _is_union(kind):
        classes = [cls.__name__ for cls in get_args(kind) if _is_class(cls)]
        others = [_expected(choice) for choice in get_args(kind) if not _is_class(choice)]
        return " or ".join([*others, f"an object of type {', '.join(classes)}"] if classes else others)
    if get_origin(kind) is Literal:
        return " or ".join(f'"{name}"' for name in get_args(kind))
    if get_origin(kind) is tuple:
        return f"a list of ({_expected(get_args(kind)[0])})"
    words = {int: "an integer", float: "a number", bool: "true or false", str: "a string", NoneType: "null"}
    return words.get(kind, f"an object of type {getattr(kind, '__name__', kind)}")


def _hint(name: str, known: Mapping[str, Any]) -> str:
    close = get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 40 else f"{text[:37]}..."
