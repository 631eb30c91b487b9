"""Markdown: rendered to HTML and parsed as such, so that raw HTML in it, such as scripts, is filtered the same way."""

import re

from markdown_it import MarkdownIt

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.decoding.decode import read_text
from retrieval.parse.web import html

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.S)
_TITLE = re.compile(r"""^title[ \t]*[:=][ \t]*["']?(.+?)["']?[ \t]*$""", re.M | re.I)
_FOOTNOTE = re.compile(
    r"^( {0,3})\[\^(?=[^\]\n]+\]:)", re.M
)  # without the extension for footnotes it would define a link, which is not shown


def read(data: bytes, builder: DocumentBuilder) -> None:
    write(re.sub("\r\n?", "\n", read_text(data, builder.add_note)), builder)


def write(text: str, builder: DocumentBuilder) -> None:
    front_matter = _FRONT_MATTER.match(text)
    if front_matter:
        title = _TITLE.search(front_matter[1])
        builder.set_title(title[1] if title else None)
        builder.add_block("code", front_matter[1])
        text = text[front_matter.end() :]
    text = _FOOTNOTE.sub(r"\1\\[^", text)
    html.write(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text), builder)
