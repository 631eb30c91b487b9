"""Jupyter notebooks: their cells, and what these put out as text."""

from collections.abc import Iterator
from typing import Any, TypeGuard

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.web import html, markdown

MAX_OUTPUT = 4_000  # characters of an output
CUT_NOTE = f"outputs of cells were cut after {MAX_OUTPUT:,} characters"


def is_notebook(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict) and "nbformat" in value and any(isinstance(value.get(key), list) for key in ("cells", "worksheets"))


def write(book: dict[str, Any], builder: DocumentBuilder) -> None:
    """`book`: of the notebook format 3 (whose cells stand in worksheets) or 4."""
    for cell in _cells(book):
        source = _joined(cell.get("source", cell.get("input")))
        match cell.get("cell_type"):
            case "markdown":
                markdown.write(source, builder)
            case "heading":
                builder.add_heading(source, int(cell.get("level", 1)))
            case "raw":
                builder.add_block("paragraph", source)
            case _:
                builder.add_block("code", source)
        for output in cell.get("outputs") or ():
            _write_output(output, builder)


def _cells(book: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for holder in (book, *(book.get("worksheets") or ())):
        yield from holder.get("cells") or ()


def _write_output(output: dict[str, Any], builder: DocumentBuilder) -> None:
    """Of several representations the plain one, else Markdown or HTML; of an error its kind and message."""
    data = output.get("data") or output
    if output.get("output_type") in ("error", "pyerr"):
        _add(f"{output.get('ename', '')}: {output.get('evalue', '')}", builder)
    elif plain := output.get("text") or data.get("text/plain"):
        _add(_joined(plain), builder)
    elif text := _joined(data.get("text/markdown")):
        markdown.write(text, builder)
    elif text := _joined(data.get("text/html", data.get("html"))):
        html.write(text, builder)
    else:
        _add(_joined(data.get("text/latex", data.get("latex"))), builder)


def _add(text: str, builder: DocumentBuilder) -> None:
    builder.add_block("code", text[:MAX_OUTPUT])
    builder.add_note(CUT_NOTE if len(text) > MAX_OUTPUT else "")


def _joined(lines: Any) -> str:
    return "".join(map(str, lines)) if isinstance(lines, list) else str(lines or "")
