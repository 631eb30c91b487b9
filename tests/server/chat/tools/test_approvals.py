"""Which calls wait."""

from dataclasses import replace

import pytest

from server.chat.tools.approval_policy import needed
from server.core.request import Policy, ToolFilter
from server.core.tool_host import HostedTool
from tests.server.fake_host import tool

READS, WRITES = tool("read"), tool("write", read_only=False)
ALLOWED = replace(WRITES, allowed=True)
ALWAYS, NEVER = Policy(rest="always"), Policy(rest="never")
BOTH = Policy(rest="writes", always=ToolFilter(names=frozenset({"read"})), never=ToolFilter(names=frozenset({"write"})))
READERS = Policy(rest="always", never=ToolFilter(read_only=True))


@pytest.mark.parametrize(
    ("tool", "policy", "clean", "tainted"),
    [
        (READS, Policy(), False, False),
        (WRITES, Policy(), True, True),
        (ALLOWED, Policy(), False, False),
        (READS, ALWAYS, True, True),
        (ALLOWED, ALWAYS, True, True),
        (READS, NEVER, False, False),
        (WRITES, NEVER, False, True),  # no request can lift what taints
        (ALLOWED, NEVER, False, False),
        (READS, BOTH, True, True),
        (WRITES, BOTH, False, True),
        (READS, READERS, False, False),
        (WRITES, READERS, True, True),
        (READS, Policy(rest="never", always=ToolFilter(names=frozenset({"read"}), read_only=False)), False, False),
    ],
)
def test_needed(tool: HostedTool, policy: Policy, clean: bool, tainted: bool) -> None:
    assert (needed(tool, policy, tainted=False), needed(tool, policy, tainted=True)) == (clean, tainted)
