"""What readers of line-based markup share: they translate it to HTML, which is then read as a page."""

from collections.abc import Callable, Iterable, Sequence
from html import escape


class LineReader:
    """The lines of a file from first to last."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines, self._at = lines, 0

    def __bool__(self) -> bool:
        """Whether there are more."""
        return self._at < len(self._lines)

    @property
    def line(self) -> str:
        """The next one; empty after the last."""
        return self._lines[self._at] if self else ""

    @property
    def text_ahead(self) -> str:
        """The next line that is not empty."""
        return next((line for line in self._lines[self._at : self._at + 9] if line.strip()), "")

    def take(self) -> str:
        self._at += 1
        return self._lines[self._at - 1]

    def take_while(self, wanted: Callable[[str], object]) -> list[str]:
        taken = list[str]()
        while self and wanted(self.line):
            taken.append(self.take())
        return taken

    def take_until(self, end: Callable[[str], object]) -> list[str]:
        """Those before the line that ends them, or before the end of the file; the line itself is passed over."""
        taken = self.take_while(lambda line: not end(line))
        self._at += 1
        return taken


def list_html(items: Sequence[tuple[int, int | None, str]]) -> str:
    """`items`: depth (from 1), number (None: a bullet; 0: one more than the item before), and HTML of each item."""
    parts, open_ = list[str](), list[str]()
    for depth, number, text in items:
        tag = "ul" if number is None else "ol"
        while len(open_) > depth or (len(open_) == depth and open_[-1] != tag):
            parts.append(f"</li></{open_.pop()}>")
        if len(open_) == depth:
            parts.append("</li>")
        while len(open_) < depth:
            open_.append(tag)
            parts.append(f"<{tag}>")
        parts.append(f'<li value="{number}">{text}' if number else f"<li>{text}")
    return "".join(parts) + "".join(f"</li></{tag}>" for tag in reversed(open_))


def table_html(rows: Iterable[Sequence[str]], heads: int) -> str:
    """`rows`: HTML of the cells; the first `heads` rows name the columns."""
    lines = (f"<tr>{''.join(f'<{_tag(at, heads)}>{cell}</{_tag(at, heads)}>' for cell in row)}</tr>" for at, row in enumerate(rows))
    return f"<table>{''.join(lines)}</table>"


def code_html(lines: Iterable[str]) -> str:
    return f"<pre>\n{escape(chr(10).join(lines))}</pre>"


def _tag(row: int, heads: int) -> str:
    return "th" if row < heads else "td"
