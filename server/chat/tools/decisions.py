"""Whether a call of a server tool may run: the tool exists, the limits allow it, its arguments fit, no approval is missing."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from server.chat.tools.approval_policy import needs_approval
from server.chat.tools.arguments import parse_arguments
from server.chat.tools.budget import ToolBudget
from server.chat.tools.toolset import ServerTool, Toolset
from server.core.events import ApprovalRequested
from server.core.messages import Json, ToolCall
from server.core.threads import in_thread_if_large


@dataclass(frozen=True, slots=True)
class AllowedCall:
    """`approval_id`: of the approval request that allowed it; None: it needed none."""

    call: ToolCall
    tool: ServerTool
    arguments: Json
    approval_id: str | None = None


@dataclass(frozen=True, slots=True)
class RefusedCall:
    """`reason`: what the model is told instead of a result."""

    call: ToolCall
    tool: ServerTool | None  # None: there is no such tool
    reason: str
    approval_id: str | None = None


@dataclass(frozen=True, slots=True)
class UnapprovedCall:
    """It waits for the user's approval."""

    call: ToolCall
    tool: ServerTool

    def event(self) -> ApprovalRequested:
        label, name = self.tool.server_label, self.tool.definition.name
        return ApprovalRequested(call_id=self.call.id, server_label=label, name=name, arguments=self.call.arguments)


Verdict = AllowedCall | RefusedCall | UnapprovedCall


def without_cut_call(calls: Sequence[ToolCall], toolset: Toolset) -> Sequence[ToolCall]:
    """What is left of the calls of a turn whose last one was brought to its end by the engine. The client gets it, with the end reason
    that tells it. The server does not run it, unless it is the only one and of a tool that changes nothing. None is left where not
    even its arguments are whole."""
    if not calls or not _is_json(calls[-1].arguments):
        return []
    tool = toolset.server_tools.get(calls[-1].name)
    is_clients = any(client_tool.name == calls[-1].name for client_tool in toolset.client_tools)
    harmless = len(calls) == 1 and tool is not None and tool.definition.read_only
    return calls if is_clients or harmless else calls[:-1]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


async def decide_calls(calls: Sequence[ToolCall], toolset: Toolset, budget: ToolBudget) -> list[Verdict]:
    """One verdict for each of a turn's calls of server tools."""
    return [await _decide(index, call, toolset, budget) for index, call in enumerate(calls)]


async def _decide(index: int, call: ToolCall, toolset: Toolset, budget: ToolBudget) -> Verdict:
    limits = budget.limits
    if (tool := toolset.server_tools.get(call.name)) is None:
        return RefusedCall(call, None, f"There is no tool {call.name}. There are: {', '.join(tool.name for tool in toolset.tools)}")
    if index >= limits.max_parallel_calls:
        return RefusedCall(call, tool, f"Skipped: no more than {limits.max_parallel_calls} calls at a time.")
    if (reason := budget.refusal(call)) is not None:
        return RefusedCall(call, tool, reason)
    arguments = await checked_arguments(call, tool)
    if isinstance(arguments, str):
        return RefusedCall(call, tool, f"Not called: {arguments}")
    if needs_approval(tool.definition, tool.policy, tainted=budget.untrusted_context):
        return UnapprovedCall(call, tool)
    budget.calls += 1
    return AllowedCall(call, tool, arguments)


async def checked_arguments(call: ToolCall, tool: ServerTool) -> Json | str:
    """The parsed arguments, or an error message for the model."""
    return await in_thread_if_large(len(call.arguments), parse_arguments, call.arguments, tool.definition.input_schema)
