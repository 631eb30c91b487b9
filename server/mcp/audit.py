"""The audit log: one line for each tool call and each approval decision, with a digest in place of the arguments."""

import hashlib
import json
import logging
from collections.abc import Mapping
from typing import Any

from server.core.logs import FIELDS

LOG = logging.getLogger("stoa.tools")
OWNER_DIGITS = 12  # hex digits of the owner's hash that are logged


def log_call(label: str, tool: str, arguments: Mapping[str, Any], owner: str, result: tuple[str, float]) -> None:
    """`result`: "ok", the kind of a ToolFault or "cancelled"; and the duration in seconds."""
    outcome, seconds = result
    _log("%s %s %s %.3fs", label, tool, arguments, owner, {"outcome": outcome, "seconds": round(seconds, 4)})


def log_decision(label: str, tool: str, arguments: Mapping[str, Any], owner: str, decision: str) -> None:
    """`decision`: "asked", "approved" or "denied", of a call that needs approval."""
    _log("%s %s %s", label, tool, arguments, owner, {"decision": decision})


def _log(form: str, label: str, tool: str, arguments: Mapping[str, Any], owner: str, details: dict[str, Any]) -> None:
    fields = {"label": label, "tool": tool, "arguments": arguments_digest(arguments), "owner": owner[:OWNER_DIGITS]}
    LOG.info(form, label, tool, *details.values(), extra={FIELDS: fields | details})


def arguments_digest(arguments: Mapping[str, Any]) -> str:
    """Hex SHA-256 of the arguments as JSON; "" where they are nested too deeply to be encoded (such calls are never sent)."""
    try:
        return hashlib.sha256(json.dumps(arguments, sort_keys=True, default=str).encode()).hexdigest()
    except RecursionError:
        return ""
