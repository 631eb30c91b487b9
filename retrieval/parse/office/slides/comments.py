"""Comments on slides, of PowerPoint's old and new kind."""

from collections.abc import Iterator
from typing import Any

from pptx.oxml import parse_xml

from retrieval.parse.common import tables

Part = Any  # of python-pptx
_KINDS = ("/comments", "/commentAuthors", "/authors")


def comments(slide: Part, presentation: Part) -> Iterator[str]:
    """`Comment by Ada: text`, in the order of the file."""
    authors = {one.get("id", ""): one.get("name", "") for kind in _KINDS[1:] for root in _related(presentation, kind) for one in root}
    for root in _related(slide, _KINDS[0]):
        for comment in (one for one in root.iter() if _name(one) in ("cm", "reply")):
            texts = (part.text or "" for child in comment for part in _own(child) if _name(part) in ("text", "t"))
            author = authors.get(comment.get("authorId", ""), "")
            if text := tables.collapse_spaces("".join(texts)):
                yield f"Comment{f' by {author}' if author else ''}: {text}"


def _own(element: Any) -> Iterator[Any]:
    """Without the replies, which are comments themselves."""
    return iter(()) if _name(element) == "replyLst" else element.iter()


def _related(part: Part, kind: str) -> Iterator[Any]:
    for relation in part.rels.values():
        if relation.reltype.endswith(kind) and not relation.is_external:
            yield parse_xml(relation.target_part.blob)


def _name(element: Any) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
