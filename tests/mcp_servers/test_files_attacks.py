"""Attacks on the file server, each with its outcome. Nothing of SECRET may ever be said, nothing outside may ever change."""

import base64
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.server.mcpserver.exceptions import ToolError
from mcp.shared.exceptions import MCPError

from mcp_servers.common import Clock
from mcp_servers.files import Limits, Policy, Root, server
from mcp_servers.fs.roots import tree
from mcp_servers.fs.text import Lines, read_lines
from mcp_servers.fs.walk import file_at
from mcp_servers.fs.writing.write import write_text
from tests.mcp_servers.files_client import PNG, Files, files

SECRET = "the walrus is the key"
SECONDS = 60.0  # no attack may keep a call for longer
RACES = 0.8  # seconds of each, at least


@dataclass(frozen=True)
class World:
    """allow/ is offered; secret.txt beside it, and allow_evil/, are not."""

    top: Path

    @property
    def root(self) -> Path:
        return self.top / "allow"

    def outside(self) -> dict[str, str]:
        """What lies outside, links and all, as it must stay."""
        found = (path for path in self.top.rglob("*") if self.root not in (path, *path.parents))
        return {
            str(path): "link" if path.is_symlink() else sha256(path.read_bytes()).hexdigest() if path.is_file() else "" for path in found
        }


@pytest.fixture
def world(tmp_path: Path) -> World:
    for folder in ("allow/sub/.git", "allow/.ssh", "allow_evil", "outside"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("secret.txt", "allow_evil/secret.txt", "outside/secret.txt", "allow/.env", "allow/sub/.git/config", "allow/.ssh/id_rsa"):
        (tmp_path / name).write_text(SECRET)
    root = tmp_path / "allow"
    for name in (".ENV", ".env.local", "server.PEM", "private.Key", "id_rsa_old", "\uff0eenv", ".e\u200bnv", "a\n.pem", "sub/.netrc"):
        (root / name).write_text(SECRET)
    (root / "plain.txt").write_text("plain\n")
    os.link(tmp_path / "secret.txt", root / "hard.txt")
    for name, target in {
        "up": "..",
        "link.txt": "../secret.txt",
        "absolute.txt": str(tmp_path / "secret.txt"),
        "folder": "../outside",
        "winding": "sub/../../outside/secret.txt",
        "alias": ".env",
        "alias.git": "sub/.git",
        "loop": "loop",
        "proc": "/proc/self",
        "dangling": "../outside/new.txt",
        "zero": "/dev/zero",
        "inside": "plain.txt",
        "absolute_denied": str(root / ".env"),
        "absolute_winding": f"{root}/sub/../../secret.txt",
        "absolute_before": f"{root}/../secret.txt",
        "absolute_collision": str(tmp_path / "allow_evil" / "secret.txt"),
        "absolute_folder": str(root / "folder"),
        "absolute_loop": str(root / "absolute_loop"),
        "absolute_hard": str(root / "hard.txt"),
        "absolute_up": str(tmp_path),
    }.items():
        (root / name).symlink_to(target)
    os.mkfifo(root / "pipe")
    (root / "terabyte.bin").touch()
    os.truncate(root / "terabyte.bin", 1 << 40)
    (root / "terabyte.txt").write_text("a" * 70_000)
    os.truncate(root / "terabyte.txt", 1 << 40)
    (root / "terabyte.png").write_bytes(PNG)
    os.truncate(root / "terabyte.png", 1 << 40)
    (root / "redos.txt").write_text("a" * 200_000 + "!")
    return World(tmp_path)


@dataclass(frozen=True)
class Attack:
    """`outcome`: what is said to it. "{top}" in arguments is the folder around the root."""

    name: str
    tool: str
    arguments: dict[str, Any]
    outcome: str
    roots: tuple[str, ...] = ("{top}/allow",)
    policy: Policy = field(default_factory=Policy)


def read(name: str, path: str, outcome: str, **more: Any) -> Attack:
    return Attack(name, "read_text", {"path": path}, outcome, **more)


def search(name: str, outcome: str, **arguments: Any) -> Attack:
    return Attack(name, "search_content", arguments, outcome)


def write(name: str, path: str, outcome: str) -> Attack:
    return Attack(name, "write_file", {"path": path, "content": "evil", "overwrite": True}, outcome)


def edit(name: str, path: str, outcome: str) -> Attack:
    return Attack(name, "edit_file", {"path": path, "edits": [{"old_text": "walrus", "new_text": "seal"}]}, outcome)


def move(name: str, source: str, destination: str, outcome: str) -> Attack:
    return Attack(name, "move", {"source": source, "destination": destination}, outcome)


def forged(path: str) -> str:
    """A cursor as the server makes them, with a path of our choice."""
    digest = sha256(json.dumps(["content", "", "walrus", None, False, False]).encode()).hexdigest()[:12]
    return base64.urlsafe_b64encode(json.dumps([digest, [0, path, 1]]).encode()).decode().rstrip("=")


OUTSIDE, DENIED, ABSENT = "is outside of what", "operator of this server denies", "no such file"
LINK, BEYOND, ODD = "link to an absolute path outside", "leads outside", "not a regular file"
ATTACKS = [
    read("traversal", "../secret.txt", "is refused"),
    read("traversal in the middle", "sub/../../secret.txt", "is refused"),
    read("traversal, absolute", "{top}/allow/../secret.txt", "is refused"),
    read("traversal, written as a URL", "..%2fsecret.txt", ABSENT),
    read("traversal, with backslashes", "..\\secret.txt", ABSENT),
    read("traversal, full-width dots", "\uff0e\uff0e/secret.txt", ABSENT),
    read("absolute path", "/etc/passwd", OUTSIDE),
    read("absolute path, two slashes", "//etc/passwd", OUTSIDE),
    read("home", "~/../secret.txt", "is refused"),
    read("prefix collision", "{top}/allow_evil/secret.txt", OUTSIDE),
    read("prefix collision, relative", "../allow_evil/secret.txt", "is refused"),
    read("NUL", "plain.txt\0.png", "holds a NUL"),
    read("no Unicode", "\udc80", ""),
    read("endless path", "a/" * 2047, "more than 64 names"),
    read("endless name", "a" * 300, "more than 255 bytes"),
    read("link outside", "link.txt", BEYOND),
    read("link outside, absolute", "absolute.txt", LINK),
    read("link to a directory outside", "folder/secret.txt", BEYOND),
    read("link above the root", "up/secret.txt", BEYOND),
    read("link that winds its way", "winding", BEYOND),
    read("link to what is denied", "alias", DENIED),
    read("link to a directory that is denied", "alias.git/config", DENIED),
    read("link to itself", "loop", "too many links"),
    read("absolute link inside, to what is denied", "absolute_denied", DENIED),
    read("absolute link inside, that winds its way", "absolute_winding", BEYOND),
    read("absolute link inside, that winds its way at once", "absolute_before", BEYOND),
    read("absolute link, prefix collision", "absolute_collision", LINK),
    read("absolute link inside, to a link outside", "absolute_folder/secret.txt", BEYOND),
    read("absolute link inside, to itself", "absolute_loop", "too many links"),
    read("absolute link inside, to a hard link", "absolute_hard", "2 hard links"),
    read("absolute link above the root", "absolute_up/secret.txt", LINK),
    read("/proc/self by a link", "proc/environ", LINK),
    read("/proc/self, of a root that holds it", "proc/self/environ", "not on a disk", roots=("/",)),
    read("/proc as a root", "self/environ", "not on a disk", roots=("/proc",)),
    read("device by a link", "zero", LINK),
    read("device", "zero", ODD, roots=("/dev",)),
    read("device that swallows", "null", ODD, roots=("/dev",)),
    read("FIFO", "pipe", ODD),
    read("socket", "socket", ODD),
    read("directory as a file", "sub", "a directory"),
    read("hard link", "hard.txt", "2 hard links"),
    read("denied", ".env", DENIED),
    read("denied, in another case", ".ENV", DENIED),
    read("denied, another case below", "SUB/.Git/config", DENIED),
    read("denied, full-width", "\uff0eenv", DENIED),
    read("denied, an invisible letter", ".e\u200bnv", DENIED),
    read("denied, a newline before", "a\n.pem", DENIED),
    read("denied, with dots and slashes", "sub/.//./.git/./config", DENIED),
    read("denied, by its ending", "server.PEM", DENIED),
    read("denied, by its beginning", "id_rsa_old", DENIED),
    read("denied, and not there", "none/.git/config", DENIED),
    read("huge file of zeros", "terabyte.bin", "not a text"),
    read("huge file of one line", "terabyte.txt", "stopped after", policy=Policy(limits=Limits(seconds=0.5))),
    Attack("huge image", "read_media", {"path": "terabyte.png"}, "more than 8388608 bytes"),
    Attack("image that is a hard link", "read_media", {"path": "hard.txt"}, "2 hard links"),
    Attack("information on what is outside", "file_info", {"path": "link.txt"}, BEYOND),
    Attack("information on a hard link", "file_info", {"path": "hard.txt"}, "2 hard links"),
    Attack("list outside", "list_directory", {"path": "folder"}, BEYOND),
    Attack("list what is denied", "list_directory", {"path": "sub/.git"}, DENIED),
    Attack("list a FIFO", "list_directory", {"path": "pipe"}, "not a directory"),
    Attack("draw outside", "tree", {"path": "up"}, BEYOND),
    Attack("deep tree", "tree", {"depth": 20, "path": "deep"}, '\\"entries\\":20'),
    Attack("deep tree, deeper", "tree", {"depth": 1000}, "less than or equal to 20"),
    Attack("names in a deep tree", "search_names", {"pattern": "bottom"}, '\\"paths\\":[]'),
    Attack("names that are denied", "search_names", {"pattern": "*{env,git,pem,key,rsa}*"}, '["alias.git@"]'),
    Attack("glob that explodes", "search_names", {"pattern": "{a,b}*" * 80}, '\\"paths\\":[]'),
    Attack("glob of ten thousand ways", "search_names", {"pattern": "**/" * 150}, ""),
    search("content through links, hard links, FIFOs, denied names", '\\"matches\\":[]', query="walrus"),
    search("content outside", BEYOND, query="walrus", path="folder"),
    search("content of a forged cursor", "none of this server", query="walrus", cursor=forged("../secret.txt")),
    search("content of a forged cursor, denied", '\\"matches\\":[]', query="walrus", cursor=forged(".env")),
    search("content of a forged cursor, a link", '\\"matches\\":[]', query="walrus", cursor=forged("link.txt")),
    search("content of a forged cursor, a hard link", '\\"matches\\":[]', query="walrus", cursor=forged("hard.txt")),
    search("content of a forged cursor, NUL", "none of this server", query="walrus", cursor=forged("a\0b")),
    search("ReDoS", '\\"matches\\":[]', query="(a+)+$", regex=True, files="redos.txt"),
    search("ReDoS, alternatives", '\\"matches\\":[]', query="(a|aa)+$", regex=True, files="redos.txt"),
    search("ReDoS, quadratic", '\\"matches\\":[]', query=r"a*a*a*a*a*a*$", regex=True, files="redos.txt"),
    search("pattern that explodes", "pattern", query="((a{0,200}){0,200}){0,200}", regex=True),
    write("write by traversal", "../secret.txt", "is refused"),
    write("write by an absolute path", "{top}/secret.txt", OUTSIDE),
    write("write through a link", "link.txt", "a link; write to where"),
    write("write through a link inside", "inside", "a link; write to where"),
    write("write through a dangling link", "dangling", "a link; write to where"),
    write("write below a link", "folder/secret.txt", "a link on the way"),
    write("write into a hard link", "hard.txt", "2 hard links"),
    write("write into a FIFO", "pipe", ODD),
    write("write into a socket", "socket", ODD),
    write("write into a directory", "sub", ODD),
    write("write what is run later", "sub/.git/hooks", DENIED),
    write("write keys", ".SSH/authorized_keys", DENIED),
    write("write the root", "", "a root itself"),
    edit("edit through a link", "link.txt", "a link; write to where"),
    edit("edit a hard link", "hard.txt", "2 hard links"),
    edit("edit what is denied", ".env", DENIED),
    Attack("create outside", "create_directory", {"path": "folder/new"}, "no directory"),
    Attack("create what is denied", "create_directory", {"path": "sub/.ssh"}, DENIED),
    Attack("create over a link", "create_directory", {"path": "dangling"}, "no directory"),
    move("move what is denied", ".env", "env.txt", DENIED),
    move("move onto what is denied", "plain.txt", ".netrc", DENIED),
    move("move a link", "link.txt", "now.txt", ODD),
    move("move a hard link", "hard.txt", "now.txt", "2 hard links"),
    move("move outside", "plain.txt", "folder/plain.txt", "a link on the way"),
    move("move onto a link", "plain.txt", "dangling", "exists already"),
    move("move outside, absolute", "plain.txt", "{top}/outside/plain.txt", OUTSIDE),
]


@pytest.mark.anyio
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
async def test_attack(world: World, attack: Attack) -> None:
    """Stopped with the words of its outcome, soon."""
    _dig(world.root / "deep", 100)
    with socket.socket(socket.AF_UNIX) as listening, _inside(world.root):
        listening.bind("socket")
    before = world.outside()
    arguments = json.loads(json.dumps(attack.arguments).replace("{top}", str(world.top)))
    roots = [Root(Path(root.replace("{top}", str(world.top)))) for root in attack.roots]
    started = time.monotonic()
    async with Client(server(roots, attack.policy, "write")) as client:
        said = await _said(client, attack.tool, arguments)
        assert time.monotonic() - started < SECONDS
        await _plain_is_there(client, attack)
    assert attack.outcome in said, said
    assert SECRET not in said and "root:" not in said and "PATH=" not in said
    assert world.outside() == before


async def _said(client: Client, tool: str, arguments: dict[str, Any]) -> str:
    try:
        return await Files(client).said(tool, **arguments)
    except Exception as error:  # what is no JSON does not even leave the client
        return str(error)


async def _plain_is_there(client: Client, attack: Attack) -> None:
    """The server lives, and no attack changed what is inside either."""
    if attack.roots == ("{top}/allow",):
        assert (await Files(client).call("read_text", path="plain.txt"))["text"] == "plain"


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Names of sockets are short."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _dig(folder: Path, depth: int) -> None:
    folder.mkdir()
    fd = os.open(folder, os.O_RDONLY)
    for number in range(depth):
        name = "d" if number < depth - 1 else "bottom"
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "path", ["../secret.txt", "%2e%2e/secret.txt", "link.txt", "hard.txt", ".env", "folder/secret.txt", "pipe", "terabyte.bin"]
)
async def test_attacks_by_resources(world: World, path: str) -> None:
    async with files(world.root) as there:
        for uri in (f"{world.root.as_uri()}/{path}", f"file:///{path}", f"file://{path}"):
            with pytest.raises(MCPError) as raised:
                await there.client.read_resource(uri)
            assert SECRET not in str(raised.value)
        listed = {one.name for one in (await there.client.list_resources()).resources}
        assert listed == {"plain.txt", "redos.txt"}


@pytest.mark.anyio
async def test_hard_links_that_the_operator_allows_are_read_and_never_written(world: World) -> None:
    async with files(world.root, policy=Policy(hard_links="read"), write=True) as there:
        assert (await there.call("read_text", path="hard.txt"))["text"] == SECRET
        assert "2 hard links" in await there.refusal("write_file", path="hard.txt", content="evil", overwrite=True)
    assert (world.top / "secret.txt").read_text() == SECRET


@contextmanager
def swapping(swap: Callable[[], None]) -> Iterator[Callable[[bool], bool]]:
    """Calls `swap` in a thread again and again. What it yields says whether the race goes on: for a time, and on a slow machine
    until the caller has `seen` all outcomes."""
    began, over = time.monotonic(), threading.Event()

    def going_on(seen: bool) -> bool:
        return time.monotonic() - began < (RACES if seen else SECONDS)

    def swaps() -> None:
        while not over.is_set():
            with suppress(FileNotFoundError, FileExistsError):
                swap()

    thread, interval = threading.Thread(target=swaps), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread.start()
    try:
        yield going_on
    finally:
        over.set()
        thread.join()
        sys.setswitchinterval(interval)


def _reads(world: World, path: str, going_on: Callable[[bool], bool]) -> tuple[set[str], int]:
    """All texts that were read under a path, and how often it was refused."""
    offered, texts, refused = tree([Root(world.root)], Policy()), set[str](), 0
    while going_on(bool(texts and refused)):
        try:
            with file_at(offered, offered.place(path)) as file:
                texts.add(read_lines(file, Lines(1, 10, 1000), "utf-8", Clock(60)).text)
        except ToolError:
            refused += 1
    return texts, refused


def _race(world: World, names: tuple[str, str], target: str) -> Callable[[], None]:
    """A name inside that is now the one, now a link to the outside."""
    name, aside = (world.root / name for name in names)

    def swap() -> None:
        name.rename(aside)
        name.symlink_to(target)
        name.unlink()
        aside.rename(name)

    return swap


def test_race_of_a_directory_with_a_link(world: World) -> None:
    (world.root / "race").mkdir()
    (world.root / "race" / "secret.txt").write_text("harmless")
    with swapping(_race(world, ("race", "aside"), "../outside")) as going_on:
        texts, refused = _reads(world, "race/secret.txt", going_on)
    assert texts == {"harmless"} and refused


def test_race_of_a_file_with_a_link(world: World) -> None:
    (world.root / "race.txt").write_text("harmless")
    with swapping(_race(world, ("race.txt", "aside.txt"), "../outside/secret.txt")) as going_on:
        texts, refused = _reads(world, "race.txt", going_on)
    assert texts == {"harmless"} and refused


def test_race_of_a_directory_on_the_way_of_an_absolute_link(world: World) -> None:
    (world.root / "race").mkdir()
    (world.root / "race" / "secret.txt").write_text("harmless")
    (world.root / "way.txt").symlink_to(world.root / "race" / "secret.txt")
    with swapping(_race(world, ("race", "aside"), str(world.top / "outside"))) as going_on:
        texts, refused = _reads(world, "way.txt", going_on)
    assert texts == {"harmless"} and refused


def test_race_of_a_file_with_a_pipe(world: World) -> None:
    """Opening it must not wait for a writer that never comes."""
    race, aside = world.root / "race.txt", world.root / "aside.txt"
    race.write_text("harmless")

    def swap() -> None:
        race.rename(aside)
        os.mkfifo(race)
        race.unlink()
        aside.rename(race)

    with swapping(swap) as going_on:
        texts, refused = _reads(world, "race.txt", going_on)
    assert texts == {"harmless"} and refused


def test_race_of_a_directory_that_is_moved_outside(world: World) -> None:
    """While its ".." is followed: outside, it leads to another directory."""
    (world.root / "a" / "b").mkdir(parents=True)
    (world.root / "a" / "b" / "up").symlink_to("../../plain.txt")
    (world.top / "plain.txt").write_text(SECRET)

    def swap() -> None:
        (world.root / "a" / "b").rename(world.top / "outside" / "b")
        (world.top / "outside" / "b").rename(world.root / "a" / "b")

    with swapping(swap) as going_on:
        texts, refused = _reads(world, "a/b/up", going_on)
    assert texts == {"plain"} and refused


def test_race_of_the_root_with_a_link(world: World) -> None:
    (world.top / "outside" / "plain.txt").write_text(SECRET)
    aside = world.top / "allow_aside"

    def swap() -> None:
        world.root.rename(aside)
        world.root.symlink_to("outside")
        world.root.unlink()
        aside.rename(world.root)

    offered, texts = tree([Root(world.root)], Policy()), set[str]()
    with swapping(swap) as going_on:
        while going_on(bool(texts)):
            with suppress(ToolError), file_at(offered, offered.place("plain.txt")) as file:
                texts.add(read_lines(file, Lines(1, 10, 1000), "utf-8", Clock(60)).text)
    assert texts == {"plain"}


@pytest.mark.parametrize(
    ("name", "target", "path"), [("race", "../outside", "race/new.txt"), ("race.txt", "../outside/secret.txt", "race.txt")]
)
def test_race_of_a_write(world: World, name: str, target: str, path: str) -> None:
    """Of a directory on the way, and of the file itself."""
    if path == name:
        (world.root / name).write_text("harmless")
    else:
        (world.root / name).mkdir()
    before, offered, done = world.outside(), tree([Root(world.root)], Policy()), 0
    with swapping(_race(world, (name, f"{name}.aside"), target)) as going_on:
        while going_on(bool(done)):
            with suppress(ToolError):
                write_text(offered, offered.place(path), "evil", "replace")
                done += 1
    assert world.outside() == before and done


# The same races lost on purpose: the swap happens in the worst moment, between the look at a name and its use.


def worst_moment(monkeypatch: pytest.MonkeyPatch, call: str, name: str, swap: Callable[[], object], *, after: bool = False) -> None:
    """`swap` once, just before (or after) `os.call(name, ...)`."""
    real, swaps = getattr(os, call), [swap]

    def called(path: Any, *arguments: Any, **more: Any) -> Any:
        mine = path == name and "dir_fd" in more
        result = real(path, *arguments, **more) if mine and after else None
        while mine and swaps:
            swaps.pop()()
        return result if mine and after else real(path, *arguments, **more)

    monkeypatch.setattr(os, call, called)


def refusal_of(world: World, path: str) -> str:
    """Why it is not read; the call does not hang."""
    offered, said = tree([Root(world.root)], Policy()), list[str]()

    def read() -> None:
        try:
            with file_at(offered, offered.place(path)) as file:
                said.append(read_lines(file, Lines(1, 10, 1000), "utf-8", Clock(60)).text)
        except ToolError as error:
            said.append(f"refused: {error}")

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert said, "it hangs"
    return said[0]


def test_worst_moment_of_a_directory(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (world.root / "race").mkdir()
    swap = lambda: ((world.root / "race").rmdir(), (world.root / "race").symlink_to("../outside"))  # noqa: E731
    worst_moment(monkeypatch, "open", "race", swap)
    assert "refused: race/secret.txt: a name on the way is not a directory" in refusal_of(world, "race/secret.txt")


def test_worst_moment_of_a_file(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    race = world.root / "plain.txt"
    worst_moment(monkeypatch, "open", "plain.txt", lambda: (race.unlink(), race.symlink_to("../outside/secret.txt")))
    assert "refused: plain.txt: a name on the way" in refusal_of(world, "plain.txt")


def test_worst_moment_of_a_pipe(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    race = world.root / "plain.txt"
    worst_moment(monkeypatch, "open", "plain.txt", lambda: (race.unlink(), os.mkfifo(race)))
    assert refusal_of(world, "plain.txt") == "refused: plain.txt: not a regular file"


def test_worst_moment_of_a_hard_link(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    race = world.root / "plain.txt"
    worst_moment(monkeypatch, "open", "plain.txt", lambda: (race.unlink(), os.link(world.top / "secret.txt", race)))
    assert "3 hard links" in refusal_of(world, "plain.txt")


def test_worst_moment_of_a_directory_that_is_moved(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its ".." leads elsewhere then: not followed, but remembered."""
    (world.root / "a" / "b").mkdir(parents=True)
    (world.root / "a" / "b" / "up").symlink_to("../../plain.txt")
    (world.top / "plain.txt").write_text(SECRET)
    moved = lambda: (world.root / "a" / "b").rename(world.top / "outside" / "b")  # noqa: E731
    worst_moment(monkeypatch, "readlink", "up", moved, after=True)
    assert refusal_of(world, "a/b/up") == "plain"


@pytest.mark.parametrize("call", ["rename", "stat"])
def test_worst_moment_of_a_write(world: World, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """The name becomes a link just before the new text takes its place, and just before the last look at it."""
    before, offered, race = world.outside(), tree([Root(world.root)], Policy()), world.root / "plain.txt"
    place, real = offered.place("plain.txt"), os.fsync

    def swap() -> None:
        race.unlink()
        race.symlink_to("../outside/secret.txt")

    if call == "rename":
        renamed = os.rename
        monkeypatch.setattr(os, "rename", lambda *names, **more: (swap(), renamed(*names, **more)))
        write_text(offered, place, "evil", "replace")
        assert race.read_text() == "evil" and not race.is_symlink()
    else:
        monkeypatch.setattr(os, "fsync", lambda fd: (swap(), real(fd)))
        with pytest.raises(ToolError, match="changed meanwhile"):
            write_text(offered, place, "evil", "replace")
    assert world.outside() == before
