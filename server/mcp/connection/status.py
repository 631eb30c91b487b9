"""The status of one MCP server, as the API and the command line report it."""

import time
from dataclasses import replace

from server.core.tool_host import ConnectionState, ServerKind, ServerStatus, ToolOutcome
from server.mcp.config.server_spec import Builtin, ServerSpec, Stdio
from server.mcp.sanitize import describe_error, redact_secrets, sanitize


class StatusTracker:
    """Holds the current ServerStatus. Error texts are stored without secrets."""

    def __init__(self, spec: ServerSpec) -> None:
        self._secrets = spec.secrets
        self.status = ServerStatus(label=spec.label, kind=_kind(spec), state="stopped", since=time.time())

    def set_state(self, state: ConnectionState) -> None:
        if state != self.status.state:
            self.status = replace(self.status, state=state, since=time.time())

    def record_error(self, error: Exception | str) -> str:
        """Stores it as last_error; returns the sanitized message."""
        message = self.sanitize(error)
        self.status = replace(self.status, last_error=message)
        return message

    def sanitize(self, error: Exception | str) -> str:
        return sanitize(error if isinstance(error, str) else describe_error(error), self._secrets)

    def count_restart(self) -> None:
        self.status = replace(self.status, restarts=self.status.restarts + 1)

    def count_call(self, outcome: ToolOutcome) -> ToolOutcome:
        """Counts the call; returns the outcome with a sanitized error message. The message of a tool that ran and failed is only
        redacted, not shortened: the model should read all of it."""
        fault = outcome.fault
        self.status = replace(self.status, calls=self.status.calls + 1, failures=self.status.failures + (fault is not None))
        if fault is None:
            return outcome
        message = redact_secrets(fault.message, self._secrets) if fault.kind == "execution" else self.sanitize(fault.message)
        if fault.kind in ("timeout", "http"):  # errors of kind "unavailable" are recorded by the supervisor
            self.record_error(message)
        return replace(outcome, text=message, fault=replace(fault, message=message))


def _kind(spec: ServerSpec) -> ServerKind:
    match spec.target:
        case Builtin():
            return "builtin"
        case Stdio():
            return "stdio"
        case _:
            return "http"
