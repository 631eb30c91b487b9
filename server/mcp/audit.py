"""One line for each call of a tool, and for each that was not made: who, what, and how it ended, but nothing of what was said."""

import hashlib
import json
import logging
from collections.abc import Mapping
from typing import Any

from server.core.logs import FIELDS

LOG = logging.getLogger("stoa.tools")
OWNER = 12  # digits of the hash of a key


def called(label: str, tool: str, arguments: Mapping[str, Any], owner: str, result: tuple[str, float]) -> None:
    """`result`: "ok" or the kind of a Fault, or "cancelled"; and seconds."""
    outcome, seconds = result
    _line("%s %s %s %.3fs", label, tool, arguments, owner, {"outcome": outcome, "seconds": round(seconds, 4)})


def decided(label: str, tool: str, arguments: Mapping[str, Any], owner: str, decision: str) -> None:
    """`decision`: "asked", "approved", "denied" ... of a call that needs approval."""
    _line("%s %s %s", label, tool, arguments, owner, {"decision": decision})


def _line(form: str, label: str, tool: str, arguments: Mapping[str, Any], owner: str, rest: dict[str, Any]) -> None:
    about = {"label": label, "tool": tool, "arguments": digest(arguments), "owner": owner[:OWNER]}
    LOG.info(form, label, tool, *rest.values(), extra={FIELDS: about | rest})


def digest(arguments: Mapping[str, Any]) -> str:
    """Hex SHA-256: tells whether two calls were the same, and nothing else. "": what is nested so deeply is never sent."""
    try:
        return hashlib.sha256(json.dumps(arguments, sort_keys=True, default=str).encode()).hexdigest()
    except RecursionError:
        return ""
