"""Paths, globs and links against those who know: fnmatch and the system itself."""

import fnmatch
import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp.server.mcpserver.exceptions import ToolError

from mcp_servers.fs.glob import Globs
from mcp_servers.fs.roots import Place, Policy, Root, tree
from mcp_servers.fs.walk import file_at

LETTERS = st.sampled_from("ab.-_ é$^+(|)")
NAMES = st.text(LETTERS, min_size=1, max_size=8)


@settings(deadline=None)
@given(st.text() | st.text(st.sampled_from("./~\\\0ab"), max_size=40))
def test_a_place_holds_names_alone(text: str) -> None:
    try:
        place = tree([Root(Path("/usr"))], Policy()).place(text)
    except ToolError:
        return
    assert all(name not in ("", ".", "..") and "/" not in name and "\0" not in name for name in place.parts)


@settings(deadline=None)
@given(st.text(LETTERS | st.sampled_from("*?"), min_size=1, max_size=8), NAMES)
def test_globs_of_names_are_those_of_fnmatch(glob: str, name: str) -> None:
    assert Globs([glob]).match(["folder", name]) == fnmatch.fnmatchcase(name, glob)


@settings(deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=3), NAMES)
def test_each_glob_of_a_list_counts(globs: list[str], name: str) -> None:
    assert Globs(globs, ignore_case=True).match([name.upper()]) == (name in globs)


@settings(deadline=None)
@given(st.text(min_size=1, max_size=20), NAMES)
def test_no_glob_fails_in_the_middle(glob: str, name: str) -> None:
    try:
        globs = Globs([glob])
    except ToolError:
        return
    globs.match([name, name])


@pytest.mark.parametrize("seed", range(12))
def test_links_lead_where_the_system_says_or_nowhere(tmp_path: Path, seed: int) -> None:
    """A random tree full of links. What is read lies inside; what lies inside, on a way that stays inside, is read."""
    root, chance = tmp_path / "root", random.Random(seed)
    folders = [root, root / "a", root / "b", root / "a" / "c"]
    for folder in folders:
        folder.mkdir()
        (folder / "file").write_text(str(folder))
    (tmp_path / "file").write_text("outside")
    for number in range(24):
        target = "/".join(chance.choices(["..", "a", "b", "c", "file", f"l{chance.randrange(24)}"], k=chance.randint(1, 4)))
        target = f"{root}/{target}" if chance.random() < 0.3 else target
        (chance.choice(folders) / f"l{number}").symlink_to(target)
    offered, read = tree([Root(root)], Policy()), 0
    for folder in folders:
        for name in os.listdir(folder):
            for more in ("", "/file", "/c/file"):
                read += _same(offered.place(f"{folder.relative_to(root)}/{name}{more}"), root)
    assert read > 4


def _same(place: Place, root: Path) -> bool:
    """Whether it was read."""
    path = root.joinpath(*place.parts)
    try:
        with file_at(tree([Root(root)], Policy()), place) as file:
            text = os.pread(file.fd, 1000, 0).decode()
    except ToolError:
        assert not path.is_file() or not _stays(path, root)
        return False
    assert text == path.read_text() and path.resolve() == root.joinpath(*file.place.parts)
    return True


def _stays(path: Path, root: Path) -> bool:
    """Whether no step of the way is outside, told by the system's own idea of where each link leads."""
    at, left = root, list(reversed(path.relative_to(root).parts))
    while left:
        name = left.pop()
        at = at.parent if name == ".." else at / name
        if not at.is_relative_to(root):
            return False
        if at.is_symlink():
            target = Path(os.readlink(at))
            left += reversed((target.relative_to(root) if target.is_absolute() else target).parts)
            at = root if target.is_absolute() else at.parent
    return True


@pytest.mark.parametrize("spelt", ["real", "alias"])
def test_absolute_links_lead_into_any_root_by_either_of_its_names(tmp_path: Path, spelt: str) -> None:
    """As the operator named it, and where that leads to."""
    for name in ("real/one", "real/two/deep"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "alias").symlink_to("real")
    (tmp_path / "real" / "two" / "deep" / "a.txt").write_text("two")
    (tmp_path / "real" / "one" / "folder").symlink_to(tmp_path / spelt / "two" / "deep")
    (tmp_path / "real" / "one" / "file").symlink_to(tmp_path / spelt / "one" / "folder" / "a.txt")
    offered = tree([Root(tmp_path / "alias" / "one"), Root(tmp_path / "alias" / "two")], Policy())
    for path in ("one/folder/a.txt", "one/file"):
        with file_at(offered, offered.place(path)) as file:
            assert os.pread(file.fd, 10, 0) == b"two" and file.place.shown == "two/deep/a.txt"
