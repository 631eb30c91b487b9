"""What a request has used of its tool limits (server/core/request.py, ToolLimits)."""

from collections import Counter
from dataclasses import dataclass, field

from server.chat.tools.arguments import canonical_arguments
from server.core.messages import ToolCall
from server.core.threads import LARGE
from server.core.tool_limits import ToolLimits


@dataclass(slots=True)
class ToolBudget:
    """Mutable; one for each answer."""

    limits: ToolLimits
    untrusted_context: bool  # the model has read untrusted text: documents, tool results
    calls: int = 0
    seconds: float = 0.0
    exhausted: bool = False  # the next turn is without tools
    repeats: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])

    def count(self, call: ToolCall) -> int:
        """How often this call has been made, this time included."""
        arguments = call.arguments if len(call.arguments) > LARGE else canonical_arguments(call.arguments)  # to save time
        key = (call.name, arguments)
        self.repeats[key] += 1
        return self.repeats[key]

    def refusal(self, call: ToolCall) -> str | None:
        """Counts the call. Why neither it nor any later call may run; None: the limits are not reached."""
        if self.count(call) >= self.limits.max_repeats:
            self.exhausted = True
            return "Skipped: the same call has been made before. Answer with what you know."
        if self.calls >= self.limits.max_calls:
            self.exhausted = True
            return f"Skipped: the limit of {self.limits.max_calls} calls is reached. Answer with what you know."
        return None

    @property
    def seconds_left(self) -> float:
        return max(0.0, self.limits.max_seconds - self.seconds)
