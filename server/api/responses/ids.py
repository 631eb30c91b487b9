"""Ids of responses and items. An item's id contains its response's, so that an item can be found by its id alone, without an index."""

import re
import secrets
from dataclasses import dataclass

RESPONSE_DIGITS = 48
ITEM_DIGITS = 6
PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "file_search_call": "fs",
    "mcp_list_tools": "mcpl",
    "mcp_call": "mcp",
    "mcp_approval_request": "mcpr",
    "mcp_approval_response": "mcpa",
    "compaction": "cmp",
}
ITEM_ID = re.compile(rf"[a-z]+_([0-9a-f]{{{RESPONSE_DIGITS}}})[0-9a-f]{{{ITEM_DIGITS}}}")


@dataclass(slots=True)
class IdGenerator:
    """The id of one response, and new ids for its items."""

    response_id: str
    _count: int = 0

    def new_item_id(self, item_type: str) -> str:
        self._count += 1
        return f"{PREFIXES[item_type]}_{self.response_id.removeprefix('resp_')}{self._count:0{ITEM_DIGITS}x}"


def new_id_generator() -> IdGenerator:
    return IdGenerator(f"resp_{secrets.token_hex(RESPONSE_DIGITS // 2)}")


def response_id_of(item_id: str) -> str | None:
    """The id of the response that an item belongs to; None for an id that this server has not made."""
    match = ITEM_ID.fullmatch(item_id)
    return f"resp_{match[1]}" if match else None
