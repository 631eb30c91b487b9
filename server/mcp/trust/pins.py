"""What each server's tools were when the operator took them on. A tool that has become another, or a new one, waits for approval:
servers have been known to turn bad after they were trusted. Kept beside the database, so that a restart forgets nothing."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from filelock import FileLock

from server.core.atomic_file import replace
from server.core.tool_host import ToolHostError
from server.mcp.session import digest_of

FILE = "mcp-pins.json"
VERSION = 1


class Pins:
    """Implements server.mcp.connection.connection.Judge. Safe for several processes; what is pinned survives the death of any."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def changed(self, label: str, digests: Mapping[str, str]) -> frozenset[str]:
        pinned = self._read().get(label)
        if pinned is None:
            pinned = self._trust_first(label, digests)
        return frozenset(name for name, digest in digests.items() if pinned.get(name) != digest)

    def pinned(self, label: str) -> str | None:
        known = self._read().get(label)
        return None if known is None else digest_of(known)

    def tools(self, label: str) -> Mapping[str, str] | None:
        """Digests by name; None: the server has not been seen yet."""
        return self._read().get(label)

    def pin(self, label: str, digests: Mapping[str, str]) -> None:
        with self._locked():
            self._write(self._read() | {label: dict(digests)})

    def _trust_first(self, label: str, digests: Mapping[str, str]) -> Mapping[str, str]:
        with self._locked():
            known = self._read()
            if label not in known:  # nobody was faster
                known |= {label: dict(digests)}
                self._write(known)
            return known[label]

    def _locked(self) -> FileLock:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self.path.with_suffix(".lock"))

    def _read(self) -> dict[str, dict[str, str]]:
        """Raises HostError: what is pinned cannot be known, so nothing is trusted."""
        try:
            kept = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ToolHostError(f"{FILE} cannot be read ({error}); mend it, or remove it to trust all MCP servers anew") from None
        if not _sound(kept):
            raise ToolHostError(f"{FILE} is not of this version; mend it, or remove it to trust all MCP servers anew")
        return kept["servers"]

    def _write(self, servers: Mapping[str, Mapping[str, str]]) -> None:
        replace(self.path, json.dumps({"version": VERSION, "servers": servers}, indent=1, sort_keys=True).encode())


class Unpinned:
    """Implements Judge for our own servers, which change with us."""

    def changed(self, label: str, digests: Mapping[str, str]) -> frozenset[str]:
        return frozenset()

    def pinned(self, label: str) -> str | None:
        return None


def _sound(kept: Any) -> bool:
    if not isinstance(kept, dict):
        return False
    known = cast("dict[str, Any]", kept)
    servers = known.get("servers")
    if known.get("version") != VERSION or not isinstance(servers, dict):
        return False
    lists = cast("dict[str, Any]", servers).values()
    return all(isinstance(tools, dict) and all(isinstance(d, str) for d in cast("dict[str, Any]", tools).values()) for tools in lists)
