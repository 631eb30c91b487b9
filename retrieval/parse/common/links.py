"""Targets of links, beside the text that carries them."""

import re

_SHOWN = re.compile(r"(?:https?|ftp|mailto|tel):\S+", re.I)
MAX_TARGET = 500  # characters; longer ones hold data


def with_target(text: str, target: str) -> str:
    """`the portal (https://files.example/v3)`. Only targets that a reader can follow from outside the document are added, and none that
    the text shows already."""
    text, target = text.rstrip(), target.strip()
    if not text.strip() or len(target) > MAX_TARGET or not _SHOWN.fullmatch(target):
        return text
    bare = re.sub(r"^(?:mailto:|tel:)", "", target, flags=re.I)
    if _compared(bare) in _compared(text) or bare.startswith("#"):
        return text
    return f"{text} ({bare})"


def _compared(text: str) -> str:
    return re.sub(r"^https?://(?:www\.)?|/$|\s", "", text.casefold())
