"""Ids. An item's begins with that of its response, so that it can be found again without an index: whoever refers to an item
need not say which response it belongs to."""

import re
import secrets
from dataclasses import dataclass

DIGITS = 48
NUMBER = 6
PREFIX = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "file_search_call": "fs",
    "mcp_list_tools": "mcpl",
    "mcp_call": "mcp",
    "mcp_approval_request": "mcpr",
    "mcp_approval_response": "mcpa",
}
ITEM = re.compile(rf"[a-z]+_([0-9a-f]{{{DIGITS}}})[0-9a-f]{{{NUMBER}}}")


@dataclass(slots=True)
class Ids:
    """Of one response and its items."""

    response: str
    _next: int = 0

    def item(self, kind: str) -> str:
        self._next += 1
        return f"{PREFIX[kind]}_{self.response.removeprefix('resp_')}{self._next:0{NUMBER}x}"


def new_ids() -> Ids:
    return Ids(f"resp_{secrets.token_hex(DIGITS // 2)}")


def response_of(item_id: str) -> str | None:
    """Id of the response that an item belongs to; None: it is of no response of this server's."""
    found = ITEM.fullmatch(item_id)
    return f"resp_{found[1]}" if found else None
