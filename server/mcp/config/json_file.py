"""Reads JSON as people write it into configuration files: with comments, commas after the last item and a byte order mark."""

import json
import re
from typing import Any

STRING = r'"(?:[^"\\]|\\.)*"'
COMMENT = re.compile(rf"({STRING})|//[^\n]*|/\*.*?\*/", re.DOTALL)
LAST_COMMA = re.compile(rf"({STRING})|,(?=\s*[}}\]])", re.DOTALL)


def parse_json(data: bytes) -> Any:
    """Raises ValueError (of the strict reading, where neither helps) and RecursionError."""
    text = data.decode("utf-8-sig")
    try:
        return _load(text)
    except json.JSONDecodeError:
        relaxed = LAST_COMMA.sub(_string_only, COMMENT.sub(_string_only, text))
        if relaxed == text:
            raise
        return _load(relaxed)


def reject_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object_pairs_hook for json.loads, which otherwise keeps the last of equal keys. Raises ValueError."""
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError(f"one of the keys {', '.join(sorted(result))} comes twice")
    return result


def _load(text: str) -> Any:
    return json.loads(text, object_pairs_hook=reject_duplicate_keys)


def _string_only(match: "re.Match[str]") -> str:
    """Line ends of a comment stay, so that an error names the right line."""
    return match[1] or "\n" * match[0].count("\n")
