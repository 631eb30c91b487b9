"""Regular expressions in linear time (RE2): no pattern and no file can make them take long, or fill the memory."""

from typing import Any

import re2  # pyright: ignore[reportMissingTypeStubs]
from mcp.server.mcpserver.exceptions import ToolError

MEMORY = 4 << 20  # bytes a pattern may need
STEPS = 5000  # of a compiled pattern: what one letter of text may cost at the worst
_re2: Any = re2


class BadPattern(ToolError): ...


class Pattern:
    """Of RE2's syntax. Thread-safe. Texts are UTF-8; the ends of their lines are `^` and `$`."""

    def __init__(self, text: str, *, ignore_case: bool = False, lines: bool = False) -> None:
        """`lines`: a match never goes beyond a line. Raises BadPattern."""
        options = _re2.Options()
        options.max_mem, options.log_errors, options.case_sensitive, options.never_nl = MEMORY, False, not ignore_case, lines
        try:
            self._compiled = _re2.compile(f"(?m){text}", options)
        except (_re2.error, UnicodeError) as error:
            raise BadPattern(f"pattern: {_reason(error)} (RE2 syntax: no back references, no look-around)") from None
        if self._compiled.programsize > STEPS:
            raise BadPattern("pattern: too many repetitions or alternatives")

    def find(self, text: bytes, start: int, end: int) -> int:
        """Where the next match begins; -1: nowhere."""
        match = self._compiled.search(text, start, end)
        return match.start() if match else -1

    def fits(self, text: str) -> bool:
        return self._compiled.fullmatch(text) is not None


def plain(text: str) -> str:
    """The pattern that matches this text."""
    return _re2.escape(text)


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args and not isinstance(error, UnicodeError) else "no text"
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
