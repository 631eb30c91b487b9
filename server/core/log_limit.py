"""Keeps other people's loggers from filling the log: a fault that a stranger can cause is logged once, then counted."""

import logging
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

OWN_LOGGERS = ("stoa", "server", "retrieval", "engine", "models", "mcp_servers")
STRANGERS_LOGGERS = ("mcp", "client", "httpx", "httpx2", "httpcore", "httpcore2", "multipart", "python_multipart")
"""Loggers of libraries that log what peers send ("client" is the MCP SDK's): no traceback of theirs says anything about us."""

PERIOD = 60.0  # seconds for which records of one kind are counted instead of logged
MAX_KINDS = 20  # of one logger in a period, as its messages may contain what a stranger chose; all further ones count as one kind
MAX_MEMORY = 1000  # kinds remembered at once
MAX_CHARS = 300  # of the text of a stranger's error
_VARYING = re.compile(r"0x[0-9a-f]+|\d+")

Kind = tuple[str, str, str]  # logger, type of the exception, first line of the message without its numbers


@dataclass(slots=True)
class _Count:
    began: float  # time.monotonic
    suppressed: int = 0


class RateLimit(logging.Filter):
    """Of the records of each kind, other than those of OWN_LOGGERS, one passes in each PERIOD; it names the number of those
    suppressed before it. Records of STRANGERS_LOGGERS become one line without a traceback, unless `tracebacks` are wanted.
    A filter of a handler: called with the handler's lock held. `clock`: seconds."""

    def __init__(self, *, tracebacks: bool, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._tracebacks, self._clock = tracebacks, clock
        self._counts = OrderedDict[Kind, _Count]()

    def filter(self, record: logging.LogRecord) -> bool:
        if _belongs(record.name, OWN_LOGGERS):
            return True
        now = self._clock()
        kind = self._bounded(_kind(record), now)
        count = self._counts.get(kind)
        if count is not None and now - count.began < PERIOD:
            count.suppressed += 1
            return False
        self._counts.pop(kind, None)
        self._counts[kind] = _Count(now)
        if len(self._counts) > MAX_MEMORY:
            self._counts.popitem(last=False)
        self._rewrite(record, count.suppressed if count else 0)
        return True

    def _bounded(self, kind: Kind, now: float) -> Kind:
        if kind in self._counts:
            return kind
        fresh = sum(1 for (name, _, _), count in self._counts.items() if name == kind[0] and now - count.began < PERIOD)
        return kind if fresh < MAX_KINDS else (kind[0], "", "")

    def _rewrite(self, record: logging.LogRecord, suppressed: int) -> None:
        message = record.getMessage()
        if _belongs(record.name, STRANGERS_LOGGERS) and not self._tracebacks:
            message = _on_one_line(record)
            record.exc_info = record.exc_text = None
        if suppressed:
            message = f"{message} ({suppressed} more like it since the last one that was logged)"
        record.msg, record.args = message, None


def _belongs(name: str, roots: tuple[str, ...]) -> bool:
    return name.partition(".")[0] in roots


def _kind(record: logging.LogRecord) -> Kind:
    error = record.exc_info[0] if record.exc_info else None
    return record.name, error.__name__ if error else "", _VARYING.sub("#", _first_line(str(record.msg)))


def _first_line(text: str) -> str:
    return text.partition("\n")[0][:MAX_CHARS]


def _on_one_line(record: logging.LogRecord) -> str:
    message, error = " ".join(record.getMessage()[:MAX_CHARS].split()), record.exc_info[1] if record.exc_info else None
    return message if error is None else f"{message}: {type(error).__name__}: {' '.join(str(error)[:MAX_CHARS].split())}"
