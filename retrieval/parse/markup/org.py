"""Org mode: translated to HTML and read as such."""

import re
from html import escape

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.decoding.decode import read_text
from retrieval.parse.markup.lines import LineReader, code_html, list_html, table_html
from retrieval.parse.web import html

_HEADING = re.compile(r"(\*+)\s+(.*?)(?:\s+:([\w@#%:]+):)?\s*$")
_BEGIN = re.compile(r"\s*#\+begin_(\w+)", re.I)
_KEYWORD = re.compile(r"\s*#\+(\w+):\s*(.*)", re.I)
_ITEM = re.compile(r"(\s*)([-+]|\d{1,6}[.)]|(?<=\s)\*)\s+(.*)")
_DRAWER = re.compile(r"\s*:[\w-]+:\s*$")
_FIXED_WIDTH = re.compile(r"\s*:(?: |$)")
_UNSHOWN = re.compile(r"\s*(?:#(?:\s|$)|-{5,}\s*$)")
_PLANNING = re.compile(r"\s*(?:SCHEDULED|DEADLINE|CLOSED):")
_LINK = re.compile(r"\[\[([^\]\[]{1,2000})\](?:\[([^\]\[]{1,500})\])?\]")
_EMPHASIS = re.compile(r"(?<![\w*/_=~])([*/_=~])(?=\S)([^\n]{1,500}?)(?<=\S)\1(?![\w*/_=~])")
_STRUCK = re.compile(r"(?<![\w+])\+(?=\S)([^+\n]{1,500}?)(?<=\S)\+(?![\w+])")
_SCRIPT = re.compile(r"(?<=\w)([\^_])\{([^{}\n]{1,100})\}")
_VERBATIM = ("src", "example", "export")
_SHOWN_KEYWORDS = ("author", "date", "caption")


def read(data: bytes, builder: DocumentBuilder) -> None:
    reader, parts = LineReader(re.split("\r\n?|\n", read_text(data, builder.add_note))), list[str]()
    while reader:
        parts.append(_block(reader))
    html.write(f"<body><main>{''.join(parts)}</main></body>", builder)


def _block(reader: LineReader) -> str:
    line = reader.line
    if heading := _HEADING.match(line):
        level = min(len(heading[1]), 6)
        reader.take()
        tags = f"<p>Tags: {', '.join(heading[3].split(':'))}</p>" if heading[3] else ""
        return f"<h{level}>{_inline(heading[2])}</h{level}>{tags}"
    if begin := _BEGIN.match(line):
        return _delimited(reader, begin[1].lower())
    if keyword := _KEYWORD.match(line):
        reader.take()
        return _keyword(keyword[1].lower(), keyword[2])
    if _DRAWER.match(line):
        reader.take_until(lambda each: each.strip().upper() == ":END:")
        return ""
    if line.lstrip().startswith("|"):
        return _table(reader.take_while(lambda each: each.lstrip().startswith("|")))
    if _ITEM.match(line):
        return _list(reader)
    if _FIXED_WIDTH.match(line):
        return code_html(re.sub(r"^\s*: ?", "", each) for each in reader.take_while(_FIXED_WIDTH.match))
    if not line.strip() or _UNSHOWN.match(line):
        reader.take()
        return ""
    if _PLANNING.match(line):
        return f"<p>{_inline(reader.take())}</p>"
    return f"<p>{_inline(' '.join([reader.take(), *reader.take_while(_is_prose)]))}</p>"


def _is_prose(line: str) -> bool:
    starts = (_HEADING, _BEGIN, _KEYWORD, _ITEM, _FIXED_WIDTH, _UNSHOWN, _DRAWER, _PLANNING)
    return bool(line.strip()) and not line.lstrip().startswith("|") and not any(start.match(line) for start in starts)


def _delimited(reader: LineReader, kind: str) -> str:
    reader.take()
    lines = reader.take_until(lambda each: each.strip().lower().startswith(f"#+end_{kind}"))
    if kind in _VERBATIM:
        return code_html(lines)
    if kind == "comment":
        return ""
    inner, parts = LineReader(lines), list[str]()
    while inner:
        parts.append(_block(inner))
    return f"<blockquote>{''.join(parts)}</blockquote>"


def _keyword(name: str, value: str) -> str:
    if name == "title":
        return f"<title>{_inline(value)}</title><p>{_inline(value)}</p>"
    return f"<p>{_inline(value)}</p>" if name in _SHOWN_KEYWORDS else ""


def _table(lines: list[str]) -> str:
    """Rows above the first rule name the columns."""
    rules = [at for at, line in enumerate(lines) if line.lstrip().startswith("|-")]
    rows = [[_inline(cell.strip()) for cell in line.strip().strip("|").split("|")] for at, line in enumerate(lines) if at not in rules]
    return table_html(rows, rules[0] if rules else 0)


def _list(reader: LineReader) -> str:
    items, indents = list[tuple[int, int | None, str]](), list[int]()
    while reader and (item := _ITEM.match(reader.line)):
        reader.take()
        indent = len(item[1].expandtabs(8))
        indents = [each for each in indents if each < indent] + [indent]
        text = " ".join([item[3], *reader.take_while(lambda line, indent=indent: line[:1].isspace() and _is_prose(line))])
        text = re.sub(r"^(.*?)\s+::(?:\s+|$)", r"\1: ", text)
        items.append((len(indents), int(item[2][:-1]) if item[2][0].isdigit() else None, _inline(text)))
    return list_html(items)


def _inline(text: str) -> str:
    text = _LINK.sub(_link, escape(text, quote=False))
    text = _SCRIPT.sub(lambda found: f"<{'sup' if found[1] == '^' else 'sub'}>{found[2]}</{'sup' if found[1] == '^' else 'sub'}>", text)
    return _STRUCK.sub(r"<del>\1</del>", _EMPHASIS.sub(r"\2", text))


def _link(found: re.Match[str]) -> str:
    target, text = found[1], found[2]
    if text is None:
        return target.removeprefix("file:").removeprefix("*").removeprefix("#")
    return f'<a href="{target.replace(chr(34), "%22")}">{text}</a>'
