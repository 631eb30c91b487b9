"""Configurations of other MCP clients, in our terms: Claude Desktop and Code, Cline, Roo, VS Code, Cursor, Windsurf, Gemini CLI.

What only widens trust (tools that run unasked) is not taken over: that is the operator's decision here, made by "allow"."""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from server.core.tool_host import ToolHostError

LABEL = re.compile(r"[A-Za-z0-9_-]{1,40}")
MAX_LABEL = 40
SECTIONS = (("mcpServers",), ("servers",), ("mcp", "servers"))  # where clients keep their servers; the last two are VS Code's
TRUST = frozenset(("autoApprove", "alwaysAllow", "trust", "autoApproveTools", "allowAllTools"))
MISSED = frozenset(("auth", "envFile", "headersHelper", "sandbox", "sandboxEnabled"))  # without effect here, which may be missed
MEANINGLESS = frozenset(
    ("$schema", "description", "dev", "disabledInEditor", "displayName", "gallery", "icon", "id", "initTimeout", "metadata", "name", "note")
) | frozenset(("provider", "tags", "version", "watchEnabled", "watchPaths"))
RENAMED = {"serverUrl": "url", "httpUrl": "url", "includeTools": "tools", "enabledTools": "tools", "workingDirectory": "cwd"}
HIDDEN = ("disabledTools", "excludeTools")
CONVERTED = frozenset((*HIDDEN, "enabled", "timeout", "transport", "transportType"))  # by _switches and _typed
TYPES = {
    "local": "stdio",
    "streamable_http": "http",
    "streamablehttp": "http",
    "streamable-http": "http",
    "http-stream": "http",
    "remote": "http",
}
MAX_SECONDS = 3600  # of "timeout": larger values are milliseconds (Claude Code, Gemini CLI)


class Translated(NamedTuple):
    """`notes`: keys that are not obeyed, for the operator."""

    entry: dict[str, Any]
    notes: tuple[str, ...]


def find_servers(content: Any) -> Mapping[str, Any]:
    """The servers by name, with whatever else a client's file holds left aside. Raises ToolHostError."""
    for section in SECTIONS:
        servers: Any = content
        for key in section:
            servers = cast("Mapping[str, Any]", servers).get(key) if isinstance(servers, Mapping) else None
        if isinstance(servers, Mapping):
            return cast("Mapping[str, Any]", servers)
        if servers is not None:
            raise ToolHostError(f"{'.'.join(section)}: it must be an object")
    raise ToolHostError('it must be an object with the servers under the key "mcpServers"')


def label_of(name: str, taken: Mapping[str, Any]) -> str:
    """The name in the characters that labels have in requests. Raises ToolHostError: another server's label is the same."""
    label = name if LABEL.fullmatch(name) else re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:MAX_LABEL] or f"server{len(taken) + 1}"
    if label in taken:
        raise ToolHostError(f"mcpServers.{name}: its label would be {label!r}, which another server has: rename one of them")
    return label


def translate(entry: Mapping[str, Any]) -> Translated:
    """Our keys win over those of others that mean the same."""
    ours, notes = dict[str, Any](), list[str]()
    for key, value in entry.items():
        if key in TRUST:
            if value:
                notes.append(f'{key} is not obeyed: "allow" names the tools that run without approval')
        elif key in MISSED:
            notes.append(f"{key} has no effect here")
        elif key not in MEANINGLESS and key not in RENAMED and key not in CONVERTED:
            ours[key] = value
    for key, name in RENAMED.items():
        if key in entry:
            ours.setdefault(name, entry[key])
    return Translated({**_switches(entry), **_typed(entry, ours), **ours, **_texts(ours)}, tuple(notes))


def _switches(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of others whose values have another form here."""
    switched = dict[str, Any]()
    if isinstance(entry.get("enabled"), bool):
        switched["disabled"] = not entry["enabled"]
    if (hidden := [key for key in HIDDEN if key in entry]) != []:
        switched["exclude"] = entry[hidden[0]]
    if "timeout" in entry:
        timeout = entry["timeout"]
        is_milliseconds = isinstance(timeout, int | float) and not isinstance(timeout, bool) and timeout > MAX_SECONDS
        switched["timeoutSeconds"] = timeout / 1000 if is_milliseconds else timeout
    return switched


def _typed(entry: Mapping[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """The transport, by any of its names. Without one, a URL that ends with /sse is that of the older transport."""
    kind = next((entry[key] for key in ("type", "transport", "transportType") if key in entry), None)
    if kind is None:
        path = str(ours.get("url", "")).partition("?")[0].rstrip("/")
        return {"type": "sse"} if path.endswith("/sse") else {}
    ours.pop("type", None)
    return {"type": TYPES.get(kind.lower(), kind) if isinstance(kind, str) else kind}


def _texts(ours: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers and booleans among arguments and variables as text; a variable that is null is not set."""
    texts = dict[str, Any]()
    if isinstance(args := ours.get("args"), list):
        texts["args"] = [_text(value) for value in cast("list[Any]", args)]
    for key in ("env", "headers"):
        if isinstance(values := ours.get(key), Mapping):
            texts[key] = {name: _text(value) for name, value in cast("Mapping[str, Any]", values).items() if value is not None}
    return texts


def _text(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, int | float) else value
