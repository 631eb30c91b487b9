"""Pins in a database that servers on several machines share, SQLite here and PostgreSQL beside the archive's other tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from retrieval.store import StoreOptions, open_store
from server.archive.database import DatabaseArchive, open_archive
from server.core.tool_host import ToolHostError
from server.mcp.open_host import tool_pins
from server.mcp.session import tool_list_digest
from server.mcp.trust.pins import ToolPins
from server.mcp.trust.shared_pins import SharedPins
from server.runtime.settings import Settings

FIRST = {"a": "1", "b": "2"}


@pytest.fixture
def archive(tmp_path: Path) -> DatabaseArchive:
    return open_archive(open_store(tmp_path / "stoa.db", StoreOptions()).transactions)


@pytest.fixture
def machine(tmp_path: Path, archive: DatabaseArchive) -> Callable[[str], SharedPins]:
    return lambda name: SharedPins(archive, ToolPins(tmp_path / name))


def test_what_one_machine_has_seen_first_counts_for_all(machine: Callable[[str], SharedPins]) -> None:
    one, two = machine("one"), machine("two")
    assert one.pinned_digest("x") is None and one.changed_tools("x", FIRST) == frozenset()
    assert two.changed_tools("x", {"a": "1", "b": "other", "c": "new"}) == {"b", "c"}
    assert two.pinned_digest("x") == tool_list_digest(FIRST) and two.pinned_tools("y") is None
    two.pin("x", {"c": "3"})
    assert one.changed_tools("x", {"c": "3"}) == frozenset() and one.changed_tools("x", FIRST) == {"a", "b"}


def test_whoever_was_faster_has_decided(archive: DatabaseArchive) -> None:
    assert archive.pin_tools_first("x", FIRST) == FIRST
    assert archive.pin_tools_first("x", {"a": "other"}) == FIRST


def test_what_a_machine_has_pinned_before_is_not_forgotten(machine: Callable[[str], SharedPins], tmp_path: Path) -> None:
    ToolPins(tmp_path / "one").pin("x", FIRST)
    assert machine("one").changed_tools("x", {"a": "changed", "b": "2"}) == {"a"}
    assert machine("two").changed_tools("x", {"a": "changed", "b": "2"}) == {"a"}


def test_nobody_is_trusted_while_the_database_is_away(tmp_path: Path) -> None:
    store = open_store(tmp_path / "stoa.db", StoreOptions())
    pins = SharedPins(open_archive(store.transactions), ToolPins(tmp_path))
    store.close()
    for file in tmp_path.glob("stoa.db*"):
        file.unlink()
    with pytest.raises(ToolHostError, match="cannot be told"):
        pins.changed_tools("x", FIRST)


def test_only_servers_that_share_a_database_share_pins(archive: DatabaseArchive, tmp_path: Path) -> None:
    assert isinstance(tool_pins(Settings(database_url="postgresql://db/stoa"), archive), SharedPins)
    assert isinstance(tool_pins(Settings(database_url=str(tmp_path / "stoa.db")), archive), ToolPins)
