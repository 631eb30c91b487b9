"""Globs: `*` `?` `[a-z]` `{a,b}`, and `**` for any number of directories."""

import re
from collections.abc import Sequence

from mcp_servers.fs.regex import BadPattern, Pattern, plain

LETTERS = 500  # maximum length of a glob
_PIECE = re.compile(r"\*\*/|\*\*|\*|\?|\[!?\]?[^\]/]*\]|\{[^{}/]*\}|.", re.DOTALL)


class Globs:
    """A glob without a slash matches names at any depth; one with a slash matches the whole path below the root."""

    def __init__(self, globs: Sequence[str], *, ignore_case: bool = False) -> None:
        """Raises BadPattern."""
        wrong = next((glob for glob in globs if not glob.strip("/") or len(glob) > LETTERS), None)
        if wrong is not None:
            raise BadPattern(f"glob {wrong[:40]!r}: 1 to {LETTERS} characters are wanted")
        self._names = _either([glob for glob in globs if "/" not in glob.strip("/")], ignore_case)
        self._paths = _either([glob for glob in globs if "/" in glob.strip("/")], ignore_case)

    @property
    def positional(self) -> bool:
        return self._paths is not None

    def match(self, parts: Sequence[str]) -> bool:
        if not parts:
            return False
        return bool(self._names and self._names.fits(parts[-1])) or bool(self._paths and self._paths.fits("/".join(parts)))


def _either(globs: Sequence[str], ignore_case: bool) -> Pattern | None:
    texts = ("".join(map(_translated, _PIECE.findall(glob.strip("/")))) for glob in globs)
    return Pattern(f"(?s)(?:{'|'.join(texts)})", ignore_case=ignore_case) if globs else None


def _translated(piece: str) -> str:
    match piece:
        case "**/":
            return "(?:[^/]+/)*"
        case "**":
            return ".*"
        case "*":
            return "[^/]*"
        case "?":
            return "[^/]"
        case _ if len(piece) > 2 and piece[0] == "[":
            return _letters(piece[1:-1])
        case _ if len(piece) > 2 and piece[0] == "{":
            return f"(?:{'|'.join(''.join(map(_translated, _PIECE.findall(part))) for part in piece[1:-1].split(','))})"
        case _:
            return plain(piece)


def _letters(inner: str) -> str:
    """A character class as regex; only hyphens are special in it."""
    listed = re.sub(r"([\\\[\]^])", r"\\\1", inner.removeprefix("!"))
    return f"[^/{listed}]" if inner[0] == "!" else f"[{listed}]"
