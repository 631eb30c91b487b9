"""Source code in any language: one block per definition, with the names of the enclosing definitions as headings."""

import re
from collections.abc import Iterator
from itertools import pairwise

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.decoding.decode import read_text

_KEYWORDS = (
    "class|def|function|func|fun|fn|sub|struct|enum|union|trait|impl|interface|module|namespace|object|record|protocol|extension|contract"
)
_MODIFIERS = (
    "export|default|public|private|protected|internal|static|abstract|final|sealed|async|pub|unsafe|override|open|data|case|inline|const"
    "|declare"
)
_NAME = r"(?P<name>[A-Za-z_$~][\w$]*(?:(?:::|\.)~?[\w$]+)*)"
_KEYWORD_DEFINITION = re.compile(
    rf"^(?P<indent>[ \t]*)(?:(?:{_MODIFIERS})(?:\([\w ]+\))?[ \t]+)*(?:{_KEYWORDS})\b[*]?(?:<[^<>]*>)?[ \t]+"
    rf"(?:\([^()]*\)[ \t]*)?{_NAME}"
)
_C_FUNCTION = re.compile(
    r"^(?P<indent>)(?!return|else|if|for|while|switch|typedef|using|import|from|new|delete|throw)[A-Za-z_][\w:<>,*&~ \t]*?[ \t*&]"
    rf"{_NAME}[ \t]*\([^;=]*$"
)
_ARROW_FUNCTION = re.compile(
    rf"^(?P<indent>)(?:export[ \t]+)?(?:default[ \t]+)?(?:const|let|var)[ \t]+{_NAME}[ \t]*(?::[^=]+)?=[ \t]*"
    r"(?:async[ \t]*)?(?:\(|function|[\w$]+[ \t]*=>)"
)
_SQL_DEFINITION = re.compile(
    r"^(?P<indent>)create[ \t]+(?:or[ \t]+replace[ \t]+)?(?:table|view|function|procedure|trigger|index|type)[ \t]+"
    rf"(?:if[ \t]+not[ \t]+exists[ \t]+)?{_NAME}",
    re.I,
)
_PATTERNS = (_KEYWORD_DEFINITION, _C_FUNCTION, _ARROW_FUNCTION, _SQL_DEFINITION)
# decorators and comments above a definition
_ATTACHED = re.compile(r"^[ \t]*(?:@|#\[|///?|/\*|\*|--|template\b|#(?!include|define|if|endif|pragma))")
MAX_DEPTH = 2  # nesting depth down to which definitions get a block of their own
MAX_LINE = 400  # characters; longer lines are not searched for definitions


def read(data: bytes, builder: DocumentBuilder) -> None:
    lines = re.split("\r\n?|\n", read_text(data, builder.add_note))
    starts = list(_definitions(lines))
    for (start, path), (end, _) in pairwise([(0, ()), *starts, (len(lines), ())]):
        builder.set_headings(path)
        builder.add_block("code", "\n".join(lines[start:end]))


def _definitions(lines: list[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """For each definition: its first line (from 0) with attached decorators and comments, and its name, outermost enclosing first."""
    open_: list[tuple[int, str]] = []
    last = -1
    for index, line in enumerate(lines):
        found = _match(line)
        if not found:
            continue
        indent = len(found["indent"].expandtabs(4))
        open_ = [(depth, name) for depth, name in open_ if depth < indent]
        if len(open_) < MAX_DEPTH and (indent == 0 or open_):
            open_.append((indent, found["name"]))
            start = _first_attached(lines, index, last + 1)
            yield start, tuple(name for _, name in open_)
            last = index
        elif indent == 0:
            open_ = []


def _match(line: str) -> re.Match[str] | None:
    if len(line) > MAX_LINE:
        return None
    return next((found for pattern in _PATTERNS if (found := pattern.match(line))), None)


def _first_attached(lines: list[str], index: int, least: int) -> int:
    while index > least and _ATTACHED.match(lines[index - 1]):
        index -= 1
    return index
