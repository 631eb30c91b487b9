"""Pins the tools of each MCP server on first use: changed and new tools are withheld until the operator approves them, as a server
may turn malicious after it was trusted. The pins are a file beside the database; those of
a database that several servers share: shared_pins.py."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from filelock import FileLock

from server.core.atomic_file import replace_file
from server.core.tool_host import ToolHostError
from server.mcp.session import tool_list_digest

PIN_FILE = "mcp-pins.json"
VERSION = 1


class ToolPins:
    """Implements server.mcp.connection.connection.PinChecker. Safe for several processes; writes are durable."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / PIN_FILE

    def changed_tools(self, label: str, digests: Mapping[str, str]) -> frozenset[str]:
        pinned = self._read().get(label)
        if pinned is None:
            pinned = self._pin_first(label, digests)
        return frozenset(name for name, digest in digests.items() if pinned.get(name) != digest)

    def pinned_digest(self, label: str) -> str | None:
        pinned = self._read().get(label)
        return None if pinned is None else tool_list_digest(pinned)

    def pinned_tools(self, label: str) -> Mapping[str, str] | None:
        """Tool name -> digest; None: the server has not been seen yet."""
        return self._read().get(label)

    def pin(self, label: str, digests: Mapping[str, str]) -> None:
        with self._lock():
            self._write(self._read() | {label: dict(digests)})

    def _pin_first(self, label: str, digests: Mapping[str, str]) -> Mapping[str, str]:
        """The digests that are pinned: of another process, if that pinned first."""
        with self._lock():
            servers = self._read()
            if label not in servers:
                servers |= {label: dict(digests)}
                self._write(servers)
            return servers[label]

    def _lock(self) -> FileLock:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self.path.with_suffix(".lock"))

    def _read(self) -> dict[str, dict[str, str]]:
        """Server label -> tool name -> digest. Raises ToolHostError where the file cannot be read: then no tool is trusted."""
        try:
            content = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ToolHostError(f"{PIN_FILE} cannot be read ({error}); mend it, or remove it to trust all MCP servers anew") from None
        if not _is_valid(content):
            raise ToolHostError(f"{PIN_FILE} is not of this version; mend it, or remove it to trust all MCP servers anew")
        return content["servers"]

    def _write(self, servers: Mapping[str, Mapping[str, str]]) -> None:
        replace_file(self.path, json.dumps({"version": VERSION, "servers": servers}, indent=1, sort_keys=True).encode())


class NoPins:
    """Implements PinChecker for the built-in servers, whose tools change with each version of this program."""

    def changed_tools(self, label: str, digests: Mapping[str, str]) -> frozenset[str]:
        return frozenset()

    def pinned_digest(self, label: str) -> str | None:
        return None


def _is_valid(content: Any) -> bool:
    if not isinstance(content, dict):
        return False
    fields = cast("dict[str, Any]", content)
    servers = fields.get("servers")
    if fields.get("version") != VERSION or not isinstance(servers, dict):
        return False
    lists = cast("dict[str, Any]", servers).values()
    return all(isinstance(tools, dict) and all(isinstance(d, str) for d in cast("dict[str, Any]", tools).values()) for tools in lists)
