"""JSON and JSON lines: one line per value, after its path."""

import json
from collections.abc import Iterator
from typing import Any

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.decoding.decode import read_text
from retrieval.parse.plain import notebook, text

MAX_BLOCK = 2_000  # characters; larger values are split further


def read(data: bytes, builder: DocumentBuilder) -> None:
    content = read_text(data, builder.add_note)
    try:
        value = _load(content)
    except ValueError:
        values = _lines(content)
        if values is None:
            builder.add_note("the file is not valid JSON and was read as plain text")
            text.write(content, builder)
            return
        value = values
    if notebook.is_notebook(value):
        notebook.write(value, builder)
    else:
        write("", value, builder)


def _load(content: str) -> Any:
    """Numbers stay strings, as written."""
    return json.loads(content, parse_int=str, parse_float=str)


def _lines(content: str) -> list[Any] | None:
    """None if it is not JSON lines either."""
    try:
        return [_load(line) for line in content.split("\n") if line.strip()]
    except ValueError:
        return None


def write(path: str, value: Any, builder: DocumentBuilder) -> None:
    """One block per small value; a large one is split into its members. `path`: of `value`; empty: it is the whole file."""
    inside = list(_children(path, value))
    if inside and (not path or _size(value) > MAX_BLOCK):
        plain = [part for part in inside if not isinstance(part[1], dict | list)]
        builder.add_block("list", "\n".join(line for part in plain for line in _leaves(*part)))
        for part in inside:
            if isinstance(part[1], dict | list):
                write(*part, builder)
    else:
        builder.add_block("list", "\n".join(_leaves(path, value)))


def _children(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((f"{path}.{key}" if path else key, part) for key, part in value.items())
    elif isinstance(value, list):
        yield from ((f"{path}[{index}]", part) for index, part in enumerate(value))


def _size(value: Any) -> int:
    """Approximate number of characters, counted no further than MAX_BLOCK."""
    total, rest = 0, [value]
    while rest and total <= MAX_BLOCK:
        part = rest.pop()
        total += len(part) if isinstance(part, str) else 5
        rest += part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return total


def _leaves(path: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for inner in _children(path, value):
            yield from _leaves(*inner)
    elif value is not None and value != "":
        text_value = " ".join(str(value).split()) if isinstance(value, str) else json.dumps(value)
        yield f"{path}: {text_value}" if path else text_value
