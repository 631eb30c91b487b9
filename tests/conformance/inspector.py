"""A smoke test of our servers with a client that is not ours: `mcp-inspector --cli`, over stdio."""

import json
import sqlite3
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance import npm

CONTENT = "Walruses sleep on ice floes."


@dataclass(frozen=True)
class Call:
    title: str
    failure: str | None


def run(modules: Path) -> list[Call]:
    script = npm.script(modules, "@modelcontextprotocol/inspector")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "walrus.txt").write_text(CONTENT, encoding="utf-8")
        with closing(sqlite3.connect(root / "zoo.db")) as database:
            database.execute("create table animals (name text)")
            database.execute("insert into animals values ('walrus')")
            database.commit()
        files, zoo = ("mcp_servers.files", folder), ("mcp_servers.database", f"zoo=sqlite:///{root / 'zoo.db'}")
        return [
            _listed(script, files, "read_text"),
            _called(script, files, "read_text", {"path": "walrus.txt"}, CONTENT),
            _listed(script, zoo, "query"),
            _called(script, zoo, "query", {"sql": "select name from animals"}, "walrus"),
            _listed(script, ("mcp_servers.knowledge",), "search"),
        ]


def _listed(script: Path, server: tuple[str, ...], tool: str) -> Call:
    return _expect(script, server, ["--method", "tools/list"], f'"{tool}"')


def _called(script: Path, server: tuple[str, ...], tool: str, arguments: Mapping[str, Any], expected: str) -> Call:
    given = ["--method", "tools/call", "--tool-name", tool, "--tool-args-json", json.dumps(arguments)]
    return _expect(script, server, given, expected)


def _expect(script: Path, server: tuple[str, ...], arguments: list[str], expected: str) -> Call:
    module, *rest = server
    done = npm.node(script, "--cli", sys.executable, "-m", module, *rest, *arguments, seconds=120)
    found = done.returncode == 0 and expected in done.stdout
    if not found:
        print(done.stdout)
    return Call(f"{module.rpartition('.')[2]} {' '.join(arguments[1:4])}", None if found else f"status {done.returncode}")
