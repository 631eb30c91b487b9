"""Pinned tools: on first use, durable, and by several processes at once."""

import json
import threading
from pathlib import Path

import pytest

from server.core.tool_host import ToolHostError
from server.mcp.session import tool_list_digest
from server.mcp.trust.pins import PIN_FILE, ToolPins

FIRST = {"a": "1", "b": "2"}


def test_the_first_sight_counts(tmp_path: Path) -> None:
    pins = ToolPins(tmp_path / "new" / "folder")
    assert pins.pinned_digest("x") is None and pins.pinned_tools("x") is None
    assert pins.changed_tools("x", FIRST) == frozenset()
    again = ToolPins(tmp_path / "new" / "folder")
    assert again.pinned_digest("x") == tool_list_digest(FIRST) and again.pinned_tools("x") == FIRST
    assert again.changed_tools("x", {"a": "1", "b": "other", "c": "new"}) == {"b", "c"}
    assert again.changed_tools("x", {"a": "1"}) == frozenset()  # one less hurts nobody
    assert again.changed_tools("y", {"a": "other"}) == frozenset()
    assert again.pinned_tools("x") == FIRST  # seeing changes nothing


def test_what_is_approved_is_pinned(tmp_path: Path) -> None:
    pins = ToolPins(tmp_path)
    pins.changed_tools("x", FIRST)
    pins.changed_tools("y", FIRST)
    pins.pin("x", {"c": "3"})
    assert pins.changed_tools("x", {"c": "3"}) == frozenset() and pins.changed_tools("x", FIRST) == {"a", "b"}
    assert pins.pinned_tools("y") == FIRST


def test_a_server_without_tools_is_known(tmp_path: Path) -> None:
    pins = ToolPins(tmp_path)
    assert pins.changed_tools("x", {}) == frozenset()
    assert pins.changed_tools("x", FIRST) == {"a", "b"}


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"version": 2, "servers": {}}', '{"version": 1}', '{"version": 1, "servers": {"x": {"a": 1}}}']
)
def test_what_cannot_be_read_trusts_nobody(tmp_path: Path, content: str) -> None:
    (tmp_path / PIN_FILE).write_text(content)
    with pytest.raises(ToolHostError, match=PIN_FILE):
        ToolPins(tmp_path).changed_tools("x", FIRST)
    assert (tmp_path / PIN_FILE).read_text() == content


def test_whoever_was_faster_has_decided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    late, reads = ToolPins(tmp_path), list[int]()
    read = late._read  # pyright: ignore[reportPrivateUsage]

    def overtaken() -> dict[str, dict[str, str]]:
        """Between the first look and the lock another process pins."""
        reads.append(1)
        if len(reads) > 1:
            return read()
        ToolPins(tmp_path).changed_tools("x", FIRST)
        return {}

    monkeypatch.setattr(late, "_read", overtaken)
    assert late.changed_tools("x", {"a": "other"}) == {"a"}
    assert ToolPins(tmp_path).pinned_tools("x") == FIRST


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    threads = [threading.Thread(target=ToolPins(tmp_path).changed_tools, args=(f"s{n}", {"a": str(n)})) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = json.loads((tmp_path / PIN_FILE).read_text())["servers"]
    assert kept == {f"s{n}": {"a": str(n)} for n in range(16)}
    assert {path.name for path in tmp_path.iterdir()} <= {PIN_FILE, "mcp-pins.lock"}  # nothing half-written is left
