"""What is known of a server without asking it."""

import time
from dataclasses import replace

from server.core.tool_host import Kind, ServerStatus, State, ToolOutcome
from server.mcp.config.config import Builtin, ServerSpec, Stdio
from server.mcp.sanitize import failure, hidden, plain


class StatusTracker:
    """No secret gets in."""

    def __init__(self, spec: ServerSpec) -> None:
        self._secrets = spec.secrets
        self.status = ServerStatus(label=spec.label, kind=_kind(spec), state="stopped", since=time.time())

    def move(self, state: State) -> None:
        if state != self.status.state:
            self.status = replace(self.status, state=state, since=time.time())

    def note(self, error: Exception | str) -> str:
        """As it may be shown."""
        shown = self.shown(error)
        self.status = replace(self.status, last_error=shown)
        return shown

    def shown(self, error: Exception | str) -> str:
        return plain(error if isinstance(error, str) else failure(error), self._secrets)

    def restarted(self) -> None:
        self.status = replace(self.status, restarts=self.status.restarts + 1)

    def counted(self, outcome: ToolOutcome) -> ToolOutcome:
        """As it may be shown. What a tool says of its own failure is the model's to read as it is."""
        fault = outcome.fault
        self.status = replace(self.status, calls=self.status.calls + 1, failures=self.status.failures + (fault is not None))
        if fault is None:
            return outcome
        said = hidden(fault.message, self._secrets) if fault.kind == "execution" else self.shown(fault.message)
        if fault.kind in ("timeout", "http"):  # why a server is unavailable, its keeper notes
            self.note(said)
        return replace(outcome, text=said, fault=replace(fault, message=said))


def _kind(spec: ServerSpec) -> Kind:
    match spec.target:
        case Builtin():
            return "builtin"
        case Stdio():
            return "stdio"
        case _:
            return "http"
