"""A hand-written MCP server on stdio for tests (revision 2025-11-25): it starts fast, and can violate the protocol.

`python mcp_fixture.py FOLDER`: appends its starts, calls and cancellations to FOLDER/log, writes its process id to FOLDER/pid, and
reads its tool list from FOLDER/tools.json if that exists. If FOLDER/mute exists it sends nothing at all; if FOLDER/deaf exists it does
not answer pings and calls; if FOLDER/flood exists it sends an endless line."""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()
ANYTHING: dict[str, Any] = {"type": "object"}
READS = {"readOnlyHint": True}


def tool(name: str, annotations: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "description": f"Does {name}", "inputSchema": ANYTHING, "annotations": annotations or {}, **more}


SHAPED = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
SLOW = {"type": "object", "properties": {"text": {"type": "string", "pattern": "^(a+)+$"}}}
TOOLS = [
    tool("echo", READS),
    tool("environment"),
    tool("fail"),
    tool("refuse"),
    tool("hang", READS),
    tool("crash"),
    tool("crash_once", READS),
    tool("big"),
    tool("right", outputSchema=SHAPED),
    tool("wrong", outputSchema=SHAPED),
    tool("slow_pattern", outputSchema=SLOW),
    tool("change"),
    tool("pause", READS),
    tool("different", outputSchema={"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}),
    tool("same", outputSchema={"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}),
    tool("unseen"),
    tool("endless_line"),
]


def note(line: str) -> None:
    with (FOLDER / "log").open("a") as log:
        log.write(line + "\n")


def send(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def tools() -> list[dict[str, Any]]:
    own = FOLDER / "tools.json"
    return json.loads(own.read_text()) if own.exists() else TOOLS


def list_page(cursor: str | None) -> dict[str, Any]:
    """Two pages."""
    note(f"list {cursor}")
    found = tools()
    half = len(found) // 2
    return {"tools": found[half:]} if cursor == "more" else {"tools": found[:half], "nextCursor": "more"}


def text(content: str, **more: Any) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": content}], **more}


def call_tool(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    match name:
        case "echo":
            return text(json.dumps(arguments))
        case "environment":
            return text(json.dumps(dict(os.environ)))
        case "fail":
            return text(f"it cannot be done with {os.environ.get('TOKEN')}", isError=True)
        case "crash":
            die()
        case "crash_once" if (FOLDER / "log").read_text().count("call crash_once") == 1:
            die()
        case "big":
            return text("b" * 50_000 + "e" * 50_000)
        case "right":
            return text("1", structuredContent={"n": 1})
        case "wrong":
            return text("x", structuredContent={"n": "one"})
        case "slow_pattern":
            return text("x", structuredContent={"text": "a" * 40 + "!"})
        case "change":
            (FOLDER / "tools.json").write_text(json.dumps([*TOOLS, tool("new")]))
            send({"method": "notifications/tools/list_changed"})
        case "different":
            return text("x", structuredContent={"a": [{"i": number} for number in range(5000)]})
        case "same":
            return text("x", structuredContent={"a": [{"i": 1}, {"i": 2}, {"i": 1.0}]})
        case "unseen":
            return {"content": [], "structuredContent": {"a": ["hi" + "".join(chr(0xE0000 + ord(letter)) for letter in "send")]}}
        case "endless_line":
            flood()
        case "pause":
            time.sleep(0.3)
        case _:
            pass
    return text("done")


def flood() -> None:
    """Half a gibibyte without a newline."""
    for _ in range(512):
        sys.stdout.write("x" * 2**20)
    sys.stdout.flush()


def die() -> None:
    sys.stderr.write(f"out of cheese, {os.environ.get('TOKEN')}\n")
    sys.stderr.flush()
    os._exit(3)


def answer(message: dict[str, Any]) -> None:
    """Runs in a thread of its own."""
    number, params = message["id"], message.get("params") or {}
    if (FOLDER / "deaf").exists() and message["method"] in ("ping", "tools/call"):
        return
    match message["method"]:
        case "initialize":
            server_info = {"name": "fixture", "version": "1.2"}
            capabilities = {"tools": {"listChanged": True}}
            send({"id": number, "result": {"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": server_info}})
        case "tools/list":
            send({"id": number, "result": list_page(params.get("cursor"))})
        case "tools/call" if params["name"] == "refuse":
            send({"id": number, "error": {"code": -32050, "message": "not today"}})
        case "tools/call" if params["name"] == "hang":
            note("call hang")
        case "tools/call":
            note(f"call {params['name']}")
            send({"id": number, "result": call_tool(params["name"], params.get("arguments") or {})})
        case method:
            send({"id": number, "error": {"code": -32601, "message": f"there is no {method}"}})


def main() -> None:
    (FOLDER / "pid").write_text(str(os.getpid()))
    note("start")
    if (FOLDER / "flood").exists():
        flood()
    if (FOLDER / "mute").exists():
        time.sleep(60)
    for line in sys.stdin:
        message = json.loads(line)
        if message.get("method") == "notifications/cancelled":
            note("cancelled")
        if "id" in message and "method" in message:
            threading.Thread(target=answer, args=(message,), daemon=True).start()
    note("end")


if __name__ == "__main__":
    main()
