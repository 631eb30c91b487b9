"""Markdown: rendered to HTML, which is then read. So raw HTML in it is treated like any other, scripts and all."""

import re

from markdown_it import MarkdownIt

from retrieval.parse.common.decode import decode
from retrieval.parse.common.draft import Draft
from retrieval.parse.web import html

_FRONT = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.S)
_TITLE = re.compile(r"""^title[ \t]*[:=][ \t]*["']?(.+?)["']?[ \t]*$""", re.M | re.I)


def read(data: bytes, draft: Draft) -> None:
    write(re.sub("\r\n?", "\n", decode(data)), draft)


def write(text: str, draft: Draft) -> None:
    front = _FRONT.match(text)
    if front:
        title = _TITLE.search(front[1])
        draft.title(title[1] if title else None)
        draft.add("code", front[1])
        text = text[front.end() :]
    html.write(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text), draft)
