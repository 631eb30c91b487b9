"""Inline markup of AsciiDoc as HTML. What is marked has a greatest length, so that text with many marks is read in linear time."""

import re
from collections.abc import Mapping
from html import escape

_REFERENCE = re.compile(r"\{([\w-]+)\}")
_CHARACTERS = {
    "nbsp": "\u00a0",
    "zwsp": "",
    "sp": " ",
    "plus": "+",
    "lt": "<",
    "gt": ">",
    "amp": "&",
    "vbar": "|",
    "blank": "",
    "empty": "",
}
_LINK = re.compile(r"(?:link:|(?=https?://|mailto:|ftp://))([^\s\[]{1,2000})\[([^\]]{0,500})\]")
_CROSS = re.compile(r"&lt;&lt;([^,&]{1,500})(?:,\s*([^&]{1,500}))?&gt;&gt;|xref:([^\s\[]{1,500})\[([^\]]{0,500})\]")
_MACRO = re.compile(
    r"(?:image|icon):([^\s\[]{1,500})\[([^\]]{0,500})\]"
    r"|(?:kbd|btn|menu|footnote\w*|indexterm2|stem|latexmath|asciimath):[^\s\[]{0,500}\[([^\]]{0,500})\]"
)
_ANCHOR = re.compile(r"\[\[[\w:.-]+(?:,[^\]]*)?\]\]|\(\(\([^()]*\)\)\)|indexterm:\[[^\]]*\]")
_ROLE = re.compile(r"\[(\.?[\w.#-]+)\](#{1,2})(?=\S)(.{1,500}?)(?<=\S)\2")
_STRONG = re.compile(r"(\*\*|__|``|##)(?=\S)(.{1,500}?)(?<=\S)\1|(?<![\w*_`#])([*_`#])(?=\S)(.{1,500}?)(?<=\S)\3(?![\w*_`#])")
_SCRIPTS = re.compile(r"([\^~])(\S{1,100}?)\1")


def inline(text: str, attributes: Mapping[str, str]) -> str:
    """`attributes`: what {name} stands for; unknown ones stay as they are."""
    text = escape(_REFERENCE.sub(lambda found: _CHARACTERS.get(found[1], attributes.get(found[1].lower(), found[0])), text), quote=False)
    text = _ANCHOR.sub("", text)
    text = _LINK.sub(_link, text)
    text = _CROSS.sub(lambda found: found[2] or found[4] or found[1] or found[3] or "", text)
    text = _MACRO.sub(lambda found: found[2] if found[1] else f" ({found[3]})" if found[0].startswith("footnote") else found[3], text)
    text = _ROLE.sub(lambda found: f"<del>{found[3]}</del>" if "line-through" in found[1] else found[3], text)
    text = _SCRIPTS.sub(lambda found: f"<sup>{found[2]}</sup>" if found[1] == "^" else f"<sub>{found[2]}</sub>", text)
    for _ in range(2):  # *_both_*
        text = _STRONG.sub(lambda found: found[2] or found[4], text)
    return text


def _link(found: re.Match[str]) -> str:
    text = re.sub(r"[,^].*$", "", found[2]).strip().strip('"')
    return f'<a href="{found[1].replace(chr(34), "%22")}">{text or found[1]}</a>'
