"""Regular expressions with RE2: linear time and bounded memory for any pattern and text."""

from typing import Any

import re2  # pyright: ignore[reportMissingTypeStubs]
from mcp.server.mcpserver.exceptions import ToolError

MEMORY = 4 << 20  # maximum bytes per pattern
STEPS = 5000  # maximum program size: worst-case cost per character of text
_re2: Any = re2


class BadPattern(ToolError): ...


class Pattern:
    """A pattern in RE2 syntax. Thread-safe. Texts are UTF-8; `^` and `$` match at line boundaries."""

    def __init__(self, text: str, *, ignore_case: bool = False, lines: bool = False) -> None:
        """`lines`: matches never span lines. Raises BadPattern."""
        options = _re2.Options()
        options.max_mem, options.log_errors, options.case_sensitive, options.never_nl = MEMORY, False, not ignore_case, lines
        try:
            self._compiled = _re2.compile(f"(?m){text}", options)
        except (_re2.error, UnicodeError) as error:
            raise BadPattern(f"pattern: {_reason(error)} (RE2 syntax: no back references, no look-around)") from None
        if self._compiled.programsize > STEPS:
            raise BadPattern("pattern: too many repetitions or alternatives")

    def find(self, text: bytes, start: int, end: int) -> int:
        """Offset of the next match; -1: none."""
        match = self._compiled.search(text, start, end)
        return match.start() if match else -1

    def fits(self, text: str) -> bool:
        return self._compiled.fullmatch(text) is not None


def plain(text: str) -> str:
    """The pattern that matches this text literally."""
    return _re2.escape(text)


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args and not isinstance(error, UnicodeError) else "no text"
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
