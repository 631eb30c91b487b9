"""Plain text: paragraphs are what empty lines set apart."""

import re

from retrieval.parse.common.decode import decode
from retrieval.parse.common.draft import Draft

_GAP = re.compile(r"\n[ \t]*\n\s*")
_ITEM = re.compile(r"[ \t]*(?:[-*•–+]|\(?\d{1,3}[.)]|\(?[a-z][.)])[ \t]+\S")


def read(data: bytes, draft: Draft) -> None:
    write(decode(data), draft)


def write(text: str, draft: Draft) -> None:
    for paragraph in _GAP.split(re.sub("\r\n?|\f", "\n", text)):
        draft.add("list" if _is_list(paragraph) else "paragraph", paragraph)


def _is_list(paragraph: str) -> bool:
    lines = [line for line in paragraph.split("\n") if line.strip()]
    return len(lines) > 1 and sum(map(bool, map(_ITEM.match, lines))) * 2 > len(lines)
