"""What is pinned of tools: on first sight, for ever, and by several processes at once."""

import json
import threading
from pathlib import Path

import pytest

from server.core.tool_host import ToolHostError
from server.mcp.session import digest_of
from server.mcp.trust.pins import FILE, Pins

FIRST = {"a": "1", "b": "2"}


def test_the_first_sight_counts(tmp_path: Path) -> None:
    pins = Pins(tmp_path / "new" / "folder")
    assert pins.pinned("x") is None and pins.tools("x") is None
    assert pins.changed("x", FIRST) == frozenset()
    again = Pins(tmp_path / "new" / "folder")
    assert again.pinned("x") == digest_of(FIRST) and again.tools("x") == FIRST
    assert again.changed("x", {"a": "1", "b": "other", "c": "new"}) == {"b", "c"}
    assert again.changed("x", {"a": "1"}) == frozenset()  # one less hurts nobody
    assert again.changed("y", {"a": "other"}) == frozenset()
    assert again.tools("x") == FIRST  # seeing changes nothing


def test_what_is_approved_is_pinned(tmp_path: Path) -> None:
    pins = Pins(tmp_path)
    pins.changed("x", FIRST)
    pins.changed("y", FIRST)
    pins.pin("x", {"c": "3"})
    assert pins.changed("x", {"c": "3"}) == frozenset() and pins.changed("x", FIRST) == {"a", "b"}
    assert pins.tools("y") == FIRST


def test_a_server_without_tools_is_known(tmp_path: Path) -> None:
    pins = Pins(tmp_path)
    assert pins.changed("x", {}) == frozenset()
    assert pins.changed("x", FIRST) == {"a", "b"}


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"version": 2, "servers": {}}', '{"version": 1}', '{"version": 1, "servers": {"x": {"a": 1}}}']
)
def test_what_cannot_be_read_trusts_nobody(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(ToolHostError, match=FILE):
        Pins(tmp_path).changed("x", FIRST)
    assert (tmp_path / FILE).read_text() == content


def test_whoever_was_faster_has_decided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    late, reads = Pins(tmp_path), list[int]()
    read = late._read  # pyright: ignore[reportPrivateUsage]

    def overtaken() -> dict[str, dict[str, str]]:
        """Between the first look and the lock another process pins."""
        reads.append(1)
        if len(reads) > 1:
            return read()
        Pins(tmp_path).changed("x", FIRST)
        return {}

    monkeypatch.setattr(late, "_read", overtaken)
    assert late.changed("x", {"a": "other"}) == {"a"}
    assert Pins(tmp_path).tools("x") == FIRST


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    threads = [threading.Thread(target=Pins(tmp_path).changed, args=(f"s{n}", {"a": str(n)})) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = json.loads((tmp_path / FILE).read_text())["servers"]
    assert kept == {f"s{n}": {"a": str(n)} for n in range(16)}
    assert {path.name for path in tmp_path.iterdir()} <= {FILE, "mcp-pins.lock"}  # nothing half-written is left
