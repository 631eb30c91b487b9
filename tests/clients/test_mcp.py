"""fastmcp's client, from PyPI, with our MCP servers."""

import os
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.environments import MCP, python
from tests.clients.test_clients import HERE, expect_no_errors
from tests.server.conftest import ROOT, Running, running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files, and a database."""
    folder = tmp_path_factory.mktemp("mcp")
    (folder / "files").mkdir()
    (folder / "files" / "notes.txt").write_text("The boiler is in the cellar.\n")
    with sqlite3.connect(folder / "towns.db") as database:
        database.execute("CREATE TABLE towns (name TEXT)")
        database.executemany("INSERT INTO towns VALUES (?)", [("Rome",), ("Oslo",)])
    return folder


@pytest.fixture(scope="module")
def mcp_server(folder: Path) -> Iterator[Running]:
    options = ("--model", "smollm2", "--mcp-files", str(folder / "files"), "--mcp-database", f"sqlite:///{folder / 'towns.db'}")
    with running(folder / "log", *options, patience=300) as server:
        yield server


def test_client(mcp_server: Running, folder: Path) -> None:
    found = {"URL": mcp_server.url, "FOLDER": str(folder / "files"), "DATABASE": f"sqlite:///{folder / 'towns.db'}"}
    found |= {"PYTHON": sys.executable, "HOUSE": str(ROOT)}
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(python("mcp", *MCP)), str(HERE / "python" / "fastmcp_calls.py")]
    expect_no_errors(command, variables | {f"STOA_{name}": value for name, value in found.items()})
