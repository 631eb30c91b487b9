"""Writing files over MCP."""

import difflib
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from mcp_servers.files import Limits, Policy, Root
from mcp_servers.fs.writing.edit import _diff
from mcp_servers.fs.writing.renaming import exchange, rename_to_free
from tests.mcp_servers.files_client import files

pytestmark = pytest.mark.anyio


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def left(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


async def test_a_new_file(here: Path) -> None:
    async with files(here, write=True) as there:
        written = await there.call("write_file", path="a.txt", content="Walroß\n")
        assert written == {"path": "a.txt", "action": "created", "size": 8}
        assert (here / "a.txt").read_text() == "Walroß\n" and left(here) == {"a.txt"}
        assert "overwrite: true" in await there.refusal("write_file", path="a.txt", content="other")
        assert (await there.call("write_file", path="a.txt", content="other", overwrite=True))["action"] == "replaced"
        assert (here / "a.txt").read_text() == "other" and left(here) == {"a.txt"}
        assert "no such file" in await there.refusal("write_file", path="none/a.txt", content="")


async def test_a_file_that_is_replaced_stays_what_it_was(here: Path) -> None:
    (here / "run.bat").write_bytes("\ufeffone\r\ntwo\r\n".encode("utf-16-le"))
    (here / "run.bat").chmod(0o751)
    async with files(here, write=True) as there:
        await there.call("write_file", path="run.bat", content="three\nfour\n", overwrite=True)
    assert (here / "run.bat").read_bytes().decode("utf-16") == "three\r\nfour\r\n"
    assert (here / "run.bat").stat().st_mode & 0o7777 == 0o751


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
async def test_an_edit_keeps_encoding_endings_and_mode(here: Path, end: str, encoding: str) -> None:
    lines = ["Größe und Schönheit über alles", "für das Walroß in der Kälte", "das natürlich schläft"]
    (here / "a.txt").write_bytes(end.join(lines).encode(encoding))
    (here / "a.txt").chmod(0o600)
    async with files(here, write=True) as there:
        edit = {"old_text": "alles\nfür das", "new_text": "nichts\nfür ein\nanderes"}
        edited = await there.call("edit_file", path="a.txt", edits=[edit])
    assert edited["written"] and edited["replacements"] == 1
    expected = end.join(["Größe und Schönheit über nichts", "für ein", "anderes Walroß in der Kälte", lines[2]])
    assert (here / "a.txt").read_bytes() == expected.encode(encoding)
    assert (here / "a.txt").stat().st_mode & 0o777 == 0o600


async def test_a_letter_that_the_encoding_lacks(here: Path) -> None:
    before = "Größe und Schönheit über alles, für das Walroß".encode("cp1252")
    (here / "a.txt").write_bytes(before)
    async with files(here, write=True) as there:
        assert "which has no '水'" in await there.refusal("edit_file", path="a.txt", edits=[{"old_text": "alles", "new_text": "水"}])
    assert (here / "a.txt").read_bytes() == before


async def test_edits_are_exact_or_nothing(here: Path) -> None:
    (here / "a.txt").write_text("one\ntwo\none\n")
    async with files(here, write=True) as there:
        both = [{"old_text": "two", "new_text": "2"}, {"old_text": "one", "new_text": "1"}]
        said = await there.refusal("edit_file", path="a.txt", edits=both)
        assert "edits[1]: old_text stands there 2 times, not 1" in said and (here / "a.txt").read_text() == "one\ntwo\none\n"
        assert "0 times" in await there.refusal("edit_file", path="a.txt", edits=[{"old_text": "three", "new_text": ""}])
        both[1]["count"] = 2  # pyright: ignore[reportArgumentType]
        shown = await there.call("edit_file", path="a.txt", edits=both, dry_run=True)
        assert not shown["written"] and (here / "a.txt").read_text() == "one\ntwo\none\n"
        done = await there.call("edit_file", path="a.txt", edits=both)
        assert done["written"] and done["diff"] == shown["diff"] and done["replacements"] == 3
        assert (here / "a.txt").read_text() == "1\n2\n1\n"
        assert done["diff"] == "--- a.txt\n+++ a.txt\n@@ -1,3 +1,3 @@\n-one\n-two\n-one\n+1\n+2\n+1\n"


async def test_an_edit_that_changes_nothing(here: Path) -> None:
    (here / "a.txt").write_text("one\n")
    before = (here / "a.txt").stat()
    async with files(here, write=True) as there:
        done = await there.call("edit_file", path="a.txt", edits=[{"old_text": "one", "new_text": "one"}])
    assert (done["written"], done["diff"]) == (False, "") and (here / "a.txt").stat().st_ino == before.st_ino


@pytest.mark.parametrize("seed", range(60))
def test_diffs_are_those_of_difflib(seed: int) -> None:
    """Which also sees lines that are equal by chance: so compare what the diffs do, and small changes letter by letter."""
    chance = random.Random(seed)
    old = [f"line {chance.randrange(30)}\n" for _ in range(chance.randrange(60))]
    new = list(old)
    at = chance.randrange(len(new) + 1)
    new[at : at + chance.randrange(3)] = [f"new {n}\n" for n in range(chance.randrange(3))]
    if new and chance.random() < 0.3:
        new[-1] = new[-1].rstrip("\n")
    expected = "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in difflib.unified_diff(old, new, "a", "a")
    )
    assert _diff("".join(old), "".join(new), "a") == expected


def test_diffs_of_large_changes_take_no_time() -> None:
    old, new = "a\nb\n" * 100_000, "b\na\n" * 100_000
    started = time.monotonic()
    diff = _diff(old, new, "a")
    assert time.monotonic() - started < 20 and diff.count("\n-") + diff.count("\n+") > 10


async def test_edits_at_the_same_time_are_all_there(here: Path) -> None:
    (here / "a.txt").write_text("".join(f"<{n}>\n" for n in range(20)))
    async with files(here, write=True) as there, anyio.create_task_group() as tasks:
        for n in range(20):
            tasks.start_soon(lambda n=n: there.call("edit_file", path="a.txt", edits=[{"old_text": f"<{n}>", "new_text": f"[{n}]"}]))
    assert (here / "a.txt").read_text() == "".join(f"[{n}]\n" for n in range(20))


async def test_a_change_by_others_is_not_overwritten(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "a.txt").write_text("one")

    def another(fd: int) -> None:
        (here / "a.txt").write_text("another was here")

    monkeypatch.setattr(os, "fsync", another)
    async with files(here, write=True) as there:
        said = await there.refusal("edit_file", path="a.txt", edits=[{"old_text": "one", "new_text": "two"}])
    assert "changed meanwhile" in said and (here / "a.txt").read_text() == "another was here" and left(here) == {"a.txt"}


@pytest.fixture
def exchanging(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    (tmp_path / "y").write_text("y")
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        if not exchange("x", "y", fd):
            pytest.skip("the file system of the tests exchanges no files")
        assert (tmp_path / "x").read_text() == "y" and (tmp_path / "y").read_text() == "x"
        with pytest.raises(FileNotFoundError):
            exchange("x", "none", fd)
    finally:
        os.close(fd)


def written_into(path: Path) -> None:
    path.write_text("another")


def replaced(path: Path) -> None:
    """As most editors save."""
    path.with_name("new").write_text("another")
    path.with_name("new").rename(path)


def swapped_for_a_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def swapped_for_a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "b.txt").write_text("another")


def kinds(folder: Path) -> dict[str, str]:
    def kind(path: Path) -> str:
        return f"-> {path.readlink()}" if path.is_symlink() else "directory" if path.is_dir() else path.read_text()

    return {str(path.relative_to(folder)): kind(path) for path in folder.rglob("*")}


@pytest.mark.parametrize("change", [written_into, replaced, swapped_for_a_link, swapped_for_a_directory, Path.unlink])
@pytest.mark.parametrize("tool", ["write_file", "edit_file"])
@pytest.mark.usefixtures("exchanging")
async def test_a_change_after_the_last_look_is_not_lost(
    here: Path, monkeypatch: pytest.MonkeyPatch, tool: str, change: Callable[[Path], None]
) -> None:
    def late(one: str, other: str, fd: int) -> bool:
        if not done:
            change(here / "a.txt")
            done.append(kinds(here))
        return exchange(one, other, fd)

    done = list[dict[str, str]]()
    monkeypatch.setattr("mcp_servers.fs.writing.put.exchange", late)
    (here / "a.txt").write_text("one")
    arguments = {"content": "ours", "overwrite": True} if tool == "write_file" else {"edits": [{"old_text": "one", "new_text": "two"}]}
    async with files(here, write=True) as there:
        assert "a.txt: it changed meanwhile; read it again" in await there.refusal(tool, path="a.txt", **arguments)
    after = kinds(here)
    draft = next(name for name in done[0] if name.endswith(".tmp"))
    assert after == {name: text for name, text in done[0].items() if name != draft}


@pytest.mark.parametrize("change", [replaced, Path.unlink])
@pytest.mark.usefixtures("exchanging")
async def test_a_change_while_another_is_given_back_loses_neither(
    here: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    def late(one: str, other: str, fd: int) -> bool:
        calls.append(other)
        if len(calls) == 1:
            (here / "a.txt").write_text("first")
        if len(calls) == 2:
            change(here / "a.txt")
        return exchange(one, other, fd)

    calls = list[str]()
    monkeypatch.setattr("mcp_servers.fs.writing.put.exchange", late)
    (here / "a.txt").write_text("one")
    async with files(here, write=True) as there:
        said = await there.refusal("write_file", path="a.txt", content="ours", overwrite=True)
    kept = said.rpartition("is kept as ")[2]
    expected = {"a.txt": "another", kept: "first"} if change is replaced else {kept: "first"}
    assert kept.endswith(".tmp") and kinds(here) == expected


@pytest.mark.parametrize("content", ["longer than it was", ""])
async def test_a_file_is_replaced_where_nothing_can_be_exchanged(here: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    monkeypatch.setattr("mcp_servers.fs.writing.renaming._function", lambda how: (None, 0))
    (here / "a.txt").write_text("one")
    async with files(here, write=True) as there:
        assert (await there.call("write_file", path="a.txt", content=content, overwrite=True))["action"] == "replaced"
    assert kinds(here) == {"a.txt": content}


async def test_directories(here: Path) -> None:
    async with files(here, write=True) as there:
        assert (await there.call("create_directory", path="a/b/c"))["action"] == "created"
        assert (await there.call("create_directory", path="a/b"))["action"] == "existed"
        await there.call("write_file", path="a/b/c/d.txt", content="")
        assert "no directory" in await there.refusal("create_directory", path="a/b/c/d.txt")
        assert "no directory" in await there.refusal("create_directory", path="a/b/c/d.txt/e")


async def test_moving(here: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (here / "src").mkdir()
    (here / "src" / "a.txt").write_text("a")
    (here / "b.txt").write_text("b")
    async with files(here, tmp_path / "other", write=True) as there:
        assert "exists already" in await there.refusal("move", source="project/src/a.txt", destination="project/b.txt")
        assert "exists already" in await there.refusal("move", source="project/b.txt", destination="project/src")
        assert "inside of what is to be moved" in await there.refusal("move", source="project/src", destination="project/src/in")
        await there.call("move", source="project/src", destination="other/code")
        assert (tmp_path / "other" / "code" / "a.txt").read_text() == "a" and left(here) == {"b.txt"}
        assert "no such file" in await there.refusal("move", source="project/src", destination="other/again")
        assert "a root itself" in await there.refusal("move", source="project", destination="other/again")


@pytest.mark.parametrize("exclusive", [True, False])
def test_renaming_takes_no_name_that_is_taken(here: Path, monkeypatch: pytest.MonkeyPatch, exclusive: bool) -> None:
    """With the system call for it, and without."""
    if not exclusive:
        monkeypatch.setattr("mcp_servers.fs.writing.renaming._function", lambda how: (None, 0))
    (here / "a").write_text("a")
    (here / "b").write_text("b")
    fd = os.open(here, os.O_RDONLY)
    try:
        with pytest.raises(FileExistsError):
            rename_to_free("a", fd, "b", fd)
        rename_to_free("a", fd, "c", fd)
        with pytest.raises(FileNotFoundError):
            rename_to_free("a", fd, "d", fd)
    finally:
        os.close(fd)
    assert {path.name: path.read_text() for path in here.iterdir()} == {"b": "b", "c": "a"}


async def test_roots_that_are_read_only(here: Path) -> None:
    (here / "a.txt").write_text("a")
    async with files(Root(here, write=False), write=True) as there:
        for tool, arguments in (
            ("write_file", {"path": "b", "content": ""}),
            ("edit_file", {"path": "a.txt", "edits": [{"old_text": "a", "new_text": "b"}]}),
            ("create_directory", {"path": "b"}),
            ("move", {"source": "a.txt", "destination": "b"}),
        ):
            assert "read-only" in await there.refusal(tool, **arguments)
    assert left(here) == {"a.txt"} and (here / "a.txt").read_text() == "a"


async def test_a_read_only_root_in_a_root_that_is_not(here: Path) -> None:
    (here / "kept").mkdir()
    (here / "kept" / "a.txt").write_text("a")
    async with files(here, Root(here / "kept", write=False), write=True) as there:
        for path in ("project/kept/b.txt", "kept/b.txt", str(here / "kept" / "b.txt"), "project/KEPT/b.txt"):
            assert "read-only" in await there.refusal("write_file", path=path, content="b")
        assert "read-only" in await there.refusal("move", source="project/kept", destination="project/b")
        assert "read-only" in await there.refusal("move", source="kept/a.txt", destination="project/a.txt")
        assert "read-only" in await there.refusal("create_directory", path="project/kept/b")
        await there.call("create_directory", path="project/loose/in")
        await there.call("move", source="project/loose", destination="project/free")
    assert left(here) == {"kept", "kept/a.txt", "free", "free/in"}


async def test_a_directory_is_not_moved_from_under_its_rules(here: Path) -> None:
    """Of a root in it, or of a rule that names its path."""
    (here / "a" / "kept").mkdir(parents=True)
    (here / "a" / "kept" / "a.txt").write_text("a")
    async with files(here, Root(here / "a" / "kept", write=False), write=True) as there:
        assert "a read-only root in it" in await there.refusal("move", source="project/a", destination="project/b")
    async with files(here, policy=Policy(denied=("a/kept/**",)), write=True) as there:
        assert "--deny rules name paths" in await there.refusal("move", source="a", destination="b")
        assert "denies" in await there.refusal("read_text", path="a/kept/a.txt")
    assert left(here) == {"a", "a/kept", "a/kept/a.txt"}


async def test_texts_that_are_too_large(here: Path) -> None:
    (here / "a.txt").write_text("a" * 900)
    async with files(here, write=True, policy=Policy(limits=Limits(write_bytes=1000))) as there:
        assert "1001 bytes are more" in await there.refusal("write_file", path="b.txt", content="b" * 1001)
        bomb = [{"old_text": "a", "new_text": "b" * 1_000_000, "count": 900}]
        assert "larger than 1000 bytes" in await there.refusal("edit_file", path="a.txt", edits=bomb)
    assert left(here) == {"a.txt"} and (here / "a.txt").read_text() == "a" * 900


async def test_a_write_that_fails_leaves_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    async with files(here, write=True) as there:
        assert "No space left" in await there.refusal("write_file", path="a.txt", content="a")
    assert not left(here)


async def test_readers_see_one_text_or_the_other(here: Path) -> None:
    texts = {letter * 200_000 for letter in "abc"}
    (here / "a.txt").write_text("a" * 200_000)
    seen, end = set[str](), threading.Event()

    def read() -> None:
        while not end.is_set():
            seen.add((here / "a.txt").read_text())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        async with files(here, write=True) as there:
            for text in [*texts] * 6:
                await there.call("write_file", path="a.txt", content=text, overwrite=True)
    finally:
        end.set()
        reader.join()
    assert seen <= texts and len(seen) > 1


KILLED = """
import os, sys
from pathlib import Path
from mcp_servers.fs.roots import Policy, Root, tree
from mcp_servers.fs.writing.write import write_text
there = tree([Root(Path(sys.argv[1]))], Policy())
number = 0
while True:
    number += 1
    write_text(there, there.place("a.txt"), str(number) * 50_000, "replace")
    os.write(1, b"%d\\n" % number)
"""


def test_a_write_that_was_acknowledged_survives_a_kill(here: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(here)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert process.stdout
    with process.stdout as output:
        first = [output.readline() for _ in range(20)]
        process.kill()
        last = [*first, *output.read().splitlines()][-1]
    process.wait()
    text = (here / "a.txt").read_text()
    number = int(text[: len(text) // 50_000])
    assert text == str(number) * 50_000 and number in (int(last), int(last) + 1)
