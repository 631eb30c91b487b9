"""A store follows a directory."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from retrieval.api import Attributes, Chunking
from retrieval.ingest.sync import Sync, SyncOptions, SyncReport
from retrieval.ingest.walk import walk
from retrieval.ingest.worker import Ingestor, WorkerOptions
from retrieval.records import NewFile, NewMember, NewVectorStore, PageRequest
from retrieval.store import StoreOptions, open_store
from retrieval.store.api import Store
from tests.retrieval.plain import PlainParser, WordEmbedder


class Base:
    """A directory and the store that follows it."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder, self.embedder = store, folder, WordEmbedder()
        self.id = store.create_store(NewVectorStore(owner="", name="kb")).id
        folder.mkdir()

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def begin(self, *paths: Path, options: SyncOptions | None = None) -> Sync:
        sync = Sync(self.store, self.id, options or SyncOptions())
        sync.begin(walk(paths or [self.folder]), lambda *_: None)
        return sync

    def drain(self) -> None:
        asyncio.run(Ingestor(self.store, PlainParser(), self.embedder, options=WorkerOptions(poll=0.05)).drain(self.id))

    def sync(self, *paths: Path, options: SyncOptions | None = None) -> dict[str, list[str]]:
        """Names of the lists that are not empty, and in them the paths below the directory."""
        sync = self.begin(*paths, options=options)
        self.drain()
        return self.short(sync.finish())

    def short(self, report: SyncReport) -> dict[str, list[str]]:
        lists = {name: list(value) for name, value in vars(report).items() if value and name not in ("skipped", "notes")}
        return {name: sorted(os.path.relpath(path, self.folder) for path in paths) for name, paths in lists.items()}

    def found(self, word: str) -> list[str]:
        """File names of the chunks that hold it."""
        hits = self.store.hits([scored.chunk_id for scored in self.store.lexical(self.id, word, 10)])
        return sorted(chunk.filename for chunk, _ in hits.values())

    def files(self) -> list[str]:
        return sorted(file.filename for file in self.store.files("", PageRequest(limit=100)).items)


@pytest.fixture
def base(where: str, tmp_path: Path) -> Iterator[Base]:
    store = open_store(where, StoreOptions())
    yield Base(store, tmp_path / "docs")
    store.close()


def test_new_then_unchanged_then_changed_then_deleted(base: Base) -> None:
    base.write("a.txt", "alpha")
    base.write("sub/b.txt", "beta")
    assert base.sync() == {"new": ["a.txt", "sub/b.txt"]}
    assert base.found("beta") == ["sub/b.txt"]
    assert base.sync() == {"unchanged": ["a.txt", "sub/b.txt"]}
    texts = len(base.embedder.texts)
    base.write("a.txt", "gamma")
    assert base.sync() == {"changed": ["a.txt"], "unchanged": ["sub/b.txt"]}
    assert len(base.embedder.texts) == texts + 1
    assert (base.found("alpha"), base.found("gamma")) == ([], ["a.txt"])
    (base.folder / "sub/b.txt").unlink()
    assert base.sync() == {"deleted": ["sub/b.txt"], "unchanged": ["a.txt"]}
    assert base.found("beta") == [] and base.files() == ["a.txt"]


def test_the_old_stays_searchable_until_the_new_is_ready(base: Base) -> None:
    base.write("a.txt", "alpha")
    base.sync()
    base.write("a.txt", "gamma")
    sync = base.begin()
    assert base.found("alpha") == ["a.txt"]
    base.drain()
    sync.settle()
    assert (base.found("alpha"), base.found("gamma")) == ([], ["a.txt"]) and base.files() == ["a.txt"]


def test_a_new_version_that_fails_leaves_the_old_one(base: Base) -> None:
    base.write("a.txt", "alpha")
    base.sync()
    base.write("a.txt", "  ")
    for _ in range(2):
        report = base.sync()
        assert report == {"failed": ["a.txt"]} and base.found("alpha") == ["a.txt"]
    base.write("a.txt", "gamma")
    assert base.sync() == {"changed": ["a.txt"]}
    assert (base.found("alpha"), base.found("gamma")) == ([], ["a.txt"]) and base.files() == ["a.txt"]


@pytest.mark.parametrize("drained", [False, True])
def test_a_run_that_was_killed_half_way_is_repaired_by_the_next(base: Base, drained: bool) -> None:
    base.write("a.txt", "alpha")
    base.write("b.txt", "beta")
    base.sync()
    base.write("a.txt", "gamma")
    (base.folder / "b.txt").unlink()
    base.begin()  # and nobody settles
    if drained:
        base.drain()
    assert base.sync() == {"unchanged": ["a.txt"]}
    assert (base.found("alpha"), base.found("gamma")) == ([], ["a.txt"]) and base.files() == ["a.txt"]


def test_a_file_that_was_put_but_not_queued_is_used(base: Base) -> None:
    base.write("a.txt", "alpha")
    base.store.put_file(NewFile(owner="", filename="a.txt"), [b"alpha"])
    assert base.sync() == {"new": ["a.txt"]} and base.files() == ["a.txt"]


def test_the_same_content_in_two_places_is_one_file(base: Base) -> None:
    base.write("a.txt", "alpha")
    base.write("b.txt", "alpha")
    assert base.sync() == {"new": ["a.txt"], "same": ["b.txt"]}
    assert base.sync() == {"unchanged": ["a.txt"], "same": ["b.txt"]}
    assert len(base.embedder.texts) == 1
    (base.folder / "a.txt").unlink()
    assert base.sync() == {"new": ["b.txt"], "deleted": ["a.txt"]}
    assert base.found("alpha") == ["b.txt"] == base.files()


def test_files_that_swap_their_content(base: Base) -> None:
    base.write("a.txt", "alpha")
    base.write("b.txt", "beta")
    base.sync()
    base.write("a.txt", "beta")
    base.write("b.txt", "alpha")
    assert base.sync() == {"changed": ["a.txt", "b.txt"]}
    assert (base.found("alpha"), base.found("beta")) == (["b.txt"], ["a.txt"])


def test_files_that_become_the_same(base: Base) -> None:
    base.write("a.txt", "alpha")
    base.write("b.txt", "beta")
    base.sync()
    base.write("b.txt", "alpha")
    assert base.sync() == {"unchanged": ["a.txt"], "changed": ["b.txt"]}
    assert base.sync() == {"unchanged": ["a.txt"], "same": ["b.txt"]}
    assert base.found("beta") == [] and base.files() == ["a.txt"]


def test_a_file_that_moves_keeps_being_found(base: Base) -> None:
    base.write("x/readme.txt", "alpha")
    base.write("y/other.txt", "beta")
    folders = base.folder / "x", base.folder / "y"
    base.sync(*folders)
    (base.folder / "x/readme.txt").rename(base.folder / "y/readme.txt")
    sync = base.begin(*folders)
    assert base.found("alpha") == ["readme.txt"]
    base.drain()
    assert base.short(sync.finish()) == {"new": ["y/readme.txt"], "deleted": ["x/readme.txt"], "unchanged": ["y/other.txt"]}
    assert base.found("alpha") == ["readme.txt"] and base.files() == ["other.txt", "readme.txt"]


def test_only_what_lay_under_the_given_directories_is_deleted(base: Base) -> None:
    base.write("x/a.txt", "alpha")
    base.write("y/b.txt", "beta")
    single = base.write("c.txt", "gamma")
    base.sync()
    for name in ("x/a.txt", "y/b.txt"):
        (base.folder / name).unlink()
    assert base.sync(base.folder / "x", options=SyncOptions(delete=False)) == {}
    assert base.sync(base.folder / "x", single) == {"deleted": ["x/a.txt"], "unchanged": ["c.txt"]}
    assert (base.found("alpha"), base.found("beta")) == ([], ["y/b.txt"])


def test_what_came_over_the_api_is_not_touched(base: Base) -> None:
    file = base.store.put_file(NewFile(owner="", filename="a.txt"), [b"alpha"])
    base.store.add_members("", base.id, [NewMember(file_id=file.id)])
    base.write("b.txt", "beta")
    assert base.sync() == {"new": ["b.txt"]}
    (base.folder / "b.txt").unlink()
    base.sync()
    assert base.found("alpha") == ["a.txt"] and base.files() == ["a.txt"]


def test_a_file_that_another_store_holds_stays_there(base: Base) -> None:
    base.write("a.txt", "alpha")
    base.sync()
    other = base.store.create_store(NewVectorStore(owner="", name="other")).id
    (file,) = base.store.files("", PageRequest()).items
    base.store.add_members("", other, [NewMember(file_id=file.id)])
    (base.folder / "a.txt").unlink()
    base.sync()
    assert base.files() == ["a.txt"] and base.store.store("", other).counts.total == 1
    assert base.store.store("", base.id).counts.total == 0


def test_a_file_that_cannot_be_read_is_reported_and_what_is_known_of_it_stays(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    base.write("a.txt", "alpha")
    base.sync()
    path = base.write("a.txt", "gamma")
    whole = Path.open

    def locked(self: Path, *args: Any) -> Any:
        if self == path:
            raise PermissionError(13, "Permission denied")
        return whole(self, *args)

    monkeypatch.setattr(Path, "open", locked)
    sync = base.begin()
    assert sync.finish().failed == {str(path): "Permission denied"} and base.found("alpha") == ["a.txt"]


def test_a_file_that_is_too_large_is_not_taken_in(base: Base) -> None:
    base.write("a.txt", "x" * 101)
    sync = base.begin(options=SyncOptions(max_bytes=100))
    assert list(sync.finish().failed.values()) == ["it is larger than 100 bytes"] and base.files() == []


def test_attributes_and_sizes_change_when_they_are_given_and_stay_otherwise(base: Base) -> None:
    base.write("a.txt", "\n".join(f"This is sentence {n}." for n in range(10)))
    base.sync(options=SyncOptions(attributes={"year": 2026.0}))
    assert attributes(base) == [{"year": 2026.0}]
    assert base.sync() == {"unchanged": ["a.txt"]} and attributes(base) == [{"year": 2026.0}]
    assert base.sync(options=SyncOptions(attributes={"year": 2027.0})) == {"unchanged": ["a.txt"]}
    assert attributes(base) == [{"year": 2027.0}]
    fine = Chunking(size=8, overlap=0)
    assert base.sync(options=SyncOptions(chunking=fine)) == {"changed": ["a.txt"]}
    assert attributes(base) == [{"year": 2027.0}] and len(chunks(base)) > 3
    count = len(chunks(base))
    assert base.sync() == {"unchanged": ["a.txt"]} and len(chunks(base)) == count


def attributes(base: Base) -> list[Attributes]:
    return [member.attributes for member in base.store.members("", base.id, PageRequest()).items]


def chunks(base: Base) -> Sequence[object]:
    (member,) = base.store.members("", base.id, PageRequest()).items
    return base.store.chunks_of("", base.id, member.file_id)
