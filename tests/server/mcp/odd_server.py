"""A hand-written MCP server on stdio for tests (revision 2025-06-18) that answers exactly what it is given.

`python odd_server.py SCRIPT`: a JSON file with "tools" (the result's list, or pages by cursor: {"": [...], "CURSOR": [...]}, each page with
the cursor in "next"), "calls" (name -> result, or a string that is written as the whole line, {id} replaced), "initialize" (its result),
"list_error" (the error that tools/list gives), "before" (lines written at the start) and "flood" ([kind, seconds between two lines]:
garbage, stderr or notifications, without end)."""

import json
import sys
import threading
import time
from itertools import count
from pathlib import Path
from typing import Any

SCRIPT: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
LOCK = threading.Lock()
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {"listChanged": True}}, "serverInfo": {"name": "odd", "version": "1"}}


def write(line: str) -> None:
    with LOCK:
        sys.stdout.buffer.write(line.encode("utf-8", "surrogateescape") + b"\n")
        sys.stdout.buffer.flush()


def send(number: Any, **content: Any) -> None:
    write(json.dumps({"jsonrpc": "2.0", "id": number, **content}))


def page(cursor: str) -> dict[str, Any]:
    tools = SCRIPT.get("tools")
    if not isinstance(tools, dict) or "" not in tools:
        return {"tools": tools}
    return tools[cursor] if cursor in tools else {"tools": [], "nextCursor": cursor + "x"}


def call(number: Any, name: str) -> None:
    result = SCRIPT.get("calls", {}).get(name, {"content": [{"type": "text", "text": "hi"}]})
    if isinstance(result, str):
        write(result.replace("{id}", json.dumps(number)))
    else:
        send(number, result=result)


def flood(kind: str, pause: float) -> None:
    for number in count():
        match kind:
            case "garbage":
                write(f"garbage, no JSON {number} secret=hunter2")
            case "half":
                write('{"garbage": ' + str(number))
            case "stderr":
                sys.stderr.write("debug output, secret=hunter2 " * 1000 + "\n")
            case _:
                write(json.dumps({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}))
        if pause:
            time.sleep(pause)


def main() -> None:
    for line in SCRIPT.get("before", ()):
        write(line)
    for line in sys.stdin:
        message = json.loads(line)
        number, method, params = message.get("id"), message.get("method"), message.get("params") or {}
        if number is None:
            continue
        match method:
            case "initialize":
                send(number, result=SCRIPT.get("initialize", HELLO))
            case "tools/list" if "list_error" in SCRIPT:
                send(number, error=SCRIPT["list_error"])
            case "tools/list":
                send(number, result=page(params.get("cursor", "")))
                if "flood" in SCRIPT:
                    threading.Thread(target=flood, args=SCRIPT.pop("flood"), daemon=True).start()
            case "tools/call":
                call(number, params["name"])
            case "ping":
                send(number, result={})
            case _:
                send(number, error={"code": -32601, "message": "Method not found"})


if __name__ == "__main__":
    main()
