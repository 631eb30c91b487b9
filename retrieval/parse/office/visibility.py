"""Sheets, slides, rows and columns that their author hid. Whoever has the file can show them again, and they hold what is seldom needed
(last year's prices, rows that a filter left out), so they are read, and marked. What is made invisible (white, tiny) is not."""

from retrieval.parse.common.builder import DocumentBuilder


def heading(name: str, kind: str, *, hidden: bool) -> str:
    """`kind`: sheet or slide."""
    return f"{name} (hidden {kind})".strip() if hidden else name


def note_hidden(builder: DocumentBuilder, kind: str, count: int) -> None:
    if count:
        builder.add_note(f"{count} hidden {kind}s were read too" if count > 1 else f"1 hidden {kind} was read too")


def note_hidden_rows(builder: DocumentBuilder, sheet: str) -> None:
    builder.add_note(f"hidden rows and columns of the sheet {sheet} were read too")
