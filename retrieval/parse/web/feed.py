"""Feeds: RSS 0.9 to 2.0, RDF Site Summary and Atom (RFC 4287)."""

from typing import Any

from lxml.etree import tostring

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.web import html

_ENTRIES = ("item", "entry")
_BODIES = ("encoded", "content", "description", "summary")  # the fullest first
_FIELDS = {
    "Date": ("pubDate", "published", "date", "updated"),
    "Author": ("creator", "author"),
    "Link": ("link",),
    "Category": ("category",),
}


def write(root: Any, builder: DocumentBuilder) -> None:
    """The title and description of the feed, then each entry under its title."""
    channel = next((element for element in root.iter() if _name(element) in ("channel", "feed")), root)
    title = _first(channel, ("title",))
    builder.set_title(title)
    builder.add_heading(title, 1)
    _write_body(channel, ("description", "subtitle"), builder)
    for entry in root.iter():
        if _name(entry) in _ENTRIES:
            _write_entry(entry, builder)


def _write_entry(entry: Any, builder: DocumentBuilder) -> None:
    builder.add_heading(_first(entry, ("title",)) or "Entry", 2)
    lines = (f"{label}: {value}" for label, names in _FIELDS.items() if (value := _first(entry, names)))
    builder.add_block("list", "\n".join(lines))
    _write_body(entry, _BODIES, builder)


def _write_body(element: Any, names: tuple[str, ...], builder: DocumentBuilder) -> None:
    """Text of entries is HTML, escaped (the text of the element) or as it stands (its children)."""
    found = (child for name in names for child in element if _name(child) == name)
    body = next((child for child in found if "".join(child.itertext()).strip()), None)
    if body is None:
        return
    inner = "".join(tostring(child, encoding="unicode") for child in body)
    html.write(f"<div>{inner or body.text}</div>", builder)


def _first(element: Any, names: tuple[str, ...]) -> str:
    for name in names:
        for child in element:
            if _name(child) == name and (
                text := " ".join("".join(child.itertext()).split()) or child.get("href", "") or child.get("term", "")
            ):
                return text
    return ""


def _name(element: Any) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
