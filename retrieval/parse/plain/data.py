"""JSON, JSON lines and notebooks: each value on a line of its own, behind the path that leads to it."""

import json
from collections.abc import Iterator
from typing import Any

from retrieval.parse.common.decode import decode
from retrieval.parse.common.draft import Draft
from retrieval.parse.plain import text
from retrieval.parse.web import markdown

LARGE = 2_000  # characters of a part that is parted again


def read(data: bytes, draft: Draft) -> None:
    content = decode(data)
    try:
        value = _load(content)
    except ValueError:
        values = _lines(content)
        if values is None:
            draft.note("the file is not valid JSON and was read as plain text")
            text.write(content, draft)
            return
        value = values
    if isinstance(value, dict) and isinstance(value.get("cells"), list) and "nbformat" in value:
        _notebook(value, draft)
    else:
        _write("", value, draft)


def _load(content: str) -> Any:
    """Numbers stay as they are written."""
    return json.loads(content, parse_int=str, parse_float=str)


def _lines(content: str) -> list[Any] | None:
    """None if it is not JSON lines either."""
    try:
        return [_load(line) for line in content.split("\n") if line.strip()]
    except ValueError:
        return None


def _write(path: str, value: Any, draft: Draft) -> None:
    """One block for each part that is small, or for what a large one is made of."""
    inside = list(_inside(path, value))
    if inside and (not path or _size(value) > LARGE):
        plain = [part for part in inside if not isinstance(part[1], dict | list)]
        draft.add("list", "\n".join(line for part in plain for line in _leaves(*part)))
        for part in inside:
            if isinstance(part[1], dict | list):
                _write(*part, draft)
    else:
        draft.add("list", "\n".join(_leaves(path, value)))


def _inside(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((f"{path}.{key}" if path else key, part) for key, part in value.items())
    elif isinstance(value, list):
        yield from ((f"{path}[{index}]", part) for index, part in enumerate(value))


def _size(value: Any) -> int:
    """About as many characters as it takes, counted no further than matters."""
    total, rest = 0, [value]
    while rest and total <= LARGE:
        part = rest.pop()
        total += len(part) if isinstance(part, str) else 5
        rest += part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return total


def _leaves(path: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for inner in _inside(path, value):
            yield from _leaves(*inner)
    elif value is not None and value != "":
        shown = " ".join(str(value).split()) if isinstance(value, str) else json.dumps(value)
        yield f"{path}: {shown}" if path else shown


def _notebook(book: dict[str, Any], draft: Draft) -> None:
    """What a notebook says and does; what it printed only where it printed text."""
    for cell in book["cells"]:
        source = _joined(cell.get("source"))
        if cell.get("cell_type") == "markdown":
            markdown.write(source, draft)
        else:
            draft.add("code", source)
            for output in cell.get("outputs") or ():
                draft.add("code", _joined(output.get("text") or (output.get("data") or {}).get("text/plain"))[:LARGE])


def _joined(lines: Any) -> str:
    return "".join(map(str, lines)) if isinstance(lines, list) else str(lines or "")
