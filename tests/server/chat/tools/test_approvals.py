"""Which calls wait."""

from dataclasses import replace

import pytest

from server.chat.tools.approval_policy import needs_approval
from server.core.request import ApprovalPolicy, ToolFilter
from server.core.tool_host import HostedTool
from tests.server.fake_host import tool

READS, WRITES = tool("read"), tool("write", read_only=False)
ALLOWED = replace(WRITES, allowed_by_operator=True)
ALWAYS, NEVER = ApprovalPolicy(default="always"), ApprovalPolicy(default="never")
BOTH = ApprovalPolicy(default="writes", always=ToolFilter(names=frozenset({"read"})), never=ToolFilter(names=frozenset({"write"})))
READERS = ApprovalPolicy(default="always", never=ToolFilter(read_only=True))


@pytest.mark.parametrize(
    ("tool", "policy", "clean", "tainted"),
    [
        (READS, ApprovalPolicy(), False, False),
        (WRITES, ApprovalPolicy(), True, True),
        (ALLOWED, ApprovalPolicy(), False, False),
        (READS, ALWAYS, True, True),
        (ALLOWED, ALWAYS, True, True),
        (READS, NEVER, False, False),
        (WRITES, NEVER, False, True),  # no request can lift what taints
        (ALLOWED, NEVER, False, False),
        (READS, BOTH, True, True),
        (WRITES, BOTH, False, True),
        (READS, READERS, False, False),
        (WRITES, READERS, True, True),
        (READS, ApprovalPolicy(default="never", always=ToolFilter(names=frozenset({"read"}), read_only=False)), False, False),
    ],
)
def test_needed(tool: HostedTool, policy: ApprovalPolicy, clean: bool, tainted: bool) -> None:
    assert (needs_approval(tool, policy, tainted=False), needs_approval(tool, policy, tainted=True)) == (clean, tainted)
