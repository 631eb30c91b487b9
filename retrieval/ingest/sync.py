"""Makes a vector store match the content of directories: `stoa ingest`.

A file is identified by its path and SHA-256. Changed content is a new file; the old one stays searchable until the new one is ready. The
same content in two places is one file. If a run is killed, the next one continues from the state of the store."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from retrieval.api import Attributes, Chunking, NotFound
from retrieval.ingest.walk import FoundFile, WalkResult
from retrieval.records import IN_PROGRESS_STATES, File, Member, NewFile, NewMember, PageRequest
from retrieval.store.api import Store

READ_SIZE = 1 << 20  # bytes read at once
PAGE_SIZE = 1000  # members per request

ProgressCallback = Callable[[str, int, int], None]  # file name, files done, total; an exception from it ends the run


@dataclass(frozen=True, kw_only=True)
class SyncOptions:
    owner: str = ""
    delete: bool = True  # remove files that no longer exist under the given directories
    chunking: Chunking | None = None  # None: existing files keep theirs
    attributes: Attributes | None = None  # None: existing files keep theirs
    max_bytes: int = 512 << 20


@dataclass
class SyncReport:
    """Paths; each is in one of the lists or, with the reason, in `failed`."""

    new: list[str] = field(default_factory=list[str])
    changed: list[str] = field(default_factory=list[str])
    deleted: list[str] = field(default_factory=list[str])
    unchanged: list[str] = field(default_factory=list[str])
    again: list[str] = field(default_factory=list[str])  # failed in an earlier run, queued again
    same: list[str] = field(default_factory=list[str])  # same content as another path
    failed: dict[str, str] = field(default_factory=dict[str, str])
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])  # remarks on ingested files
    skipped: Counter[str] = field(default_factory=Counter[str])

    def fail(self, path: str, reason: str) -> None:
        for paths in (self.new, self.changed, self.unchanged, self.again):
            if path in paths:
                paths.remove(path)
        self.failed[path] = reason


@dataclass(frozen=True)
class _Stale:
    """A member to remove once `successor` (a file id) is ready; at once if there is none."""

    member: Member
    successor: str | None
    gone: bool  # the file no longer exists: removed even if the successor fails


class Sync:
    """Call `begin`, then `settle` now and then until the queue is empty, then `finish`. Blocking; not thread-safe."""

    def __init__(self, store: Store, store_id: str, options: SyncOptions) -> None:
        self._store, self.store_id, self._options = store, store_id, options
        self._members: list[Member] = []
        self._known: dict[str, dict[str, Member]] = {}  # SHA-256 -> path -> member
        self._member_file_ids, self._sources = set[str](), set[str]()  # file ids, paths
        self._current: dict[str, str] = {}  # SHA-256 -> id of the file that holds this content
        self.pending: dict[str, str] = {}  # path -> id of a file that is being ingested
        self._stale: list[_Stale] = []
        self.report = SyncReport()

    def begin(self, walk: WalkResult, on_progress: ProgressCallback) -> None:
        """Compares files with the store and queues new and changed ones. Unreadable files go to `report.failed`; the store keeps what it
        has of them."""
        self._load_members()
        self.report.skipped = walk.skipped
        hashes = self._hash(walk.files, on_progress)
        groups: dict[str, list[FoundFile]] = {}
        for found, digest in hashes.items():
            groups.setdefault(digest, []).append(found)
        for number, (digest, locations) in enumerate(groups.items()):
            on_progress(locations[0].filename, number, len(groups))
            self._sync_content(digest, locations)
        self._find_stale(walk, {found.source: digest for found, digest in hashes.items()})
        self.settle()

    def settle(self) -> None:
        """Removes members that have been replaced or whose file is gone."""
        states = {member.file_id: member.state for member in self._all()} if self._stale else {}
        waiting: list[_Stale] = []
        for stale in self._stale:
            state = states.get(stale.successor) if stale.successor else "ready"
            if state == "ready" or (stale.gone and state not in IN_PROGRESS_STATES):
                self._remove(stale.member)
            else:
                waiting.append(stale)
        self._stale = waiting

    def finish(self) -> SyncReport:
        """Once the queue is empty: completes the report with errors and notes."""
        self.settle()
        members = {member.file_id: member for member in self._all()}
        for path, file_id in self.pending.items():
            member = members.get(file_id)
            if member is None or member.state in ("failed", "cancelled"):
                self.report.fail(path, (member and member.error) or "it was taken out of the store meanwhile")
            elif member.notes:
                self.report.notes[path] = member.notes
        return self.report

    def _load_members(self) -> None:
        self._members = list(self._all())
        self._member_file_ids = {member.file_id for member in self._members}
        self._sources = {member.source for member in self._members if member.source}
        for member in reversed(self._members):  # of duplicates the oldest is used
            if member.source:
                self._known.setdefault(member.sha256, {})[member.source] = member

    def _all(self) -> Iterator[Member]:
        after, more = None, True
        while more:
            page = self._store.members(self._options.owner, self.store_id, PageRequest(limit=PAGE_SIZE, order="asc", after=after))
            yield from page.items
            after, more = page.items[-1].file_id if page.items else None, page.more

    def _hash(self, files: Sequence[FoundFile], on_progress: ProgressCallback) -> dict[FoundFile, str]:
        hashes: dict[FoundFile, str] = {}
        for number, found in enumerate(files):
            on_progress(found.filename, number, len(files))
            try:
                if found.path.stat().st_size > self._options.max_bytes:
                    self.report.fail(found.source, f"it is larger than {self._options.max_bytes:,} bytes")
                    continue
                with found.path.open("rb") as file:
                    hashes[found] = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                self.report.fail(found.source, error.strerror or str(error))
        return hashes

    def _sync_content(self, digest: str, locations: list[FoundFile]) -> None:
        """`locations` hold the same content. The first that the store already has with it is kept, else the first is added."""
        known = self._known.get(digest, {})
        chosen = next((found for found in locations if found.source in known), None)
        for found in locations:
            if found is not chosen and (chosen or found is not locations[0]):
                (self.report.changed if found.source in self._sources else self.report.same).append(found.source)
        if chosen:
            self._current[digest] = known[chosen.source].file_id
            self._update_member(known[chosen.source], chosen)
        else:
            self._add(digest, locations[0])

    def _update_member(self, member: Member, found: FoundFile) -> None:
        options = self._options
        attributes = member.attributes if options.attributes is None else options.attributes
        if member.state in ("failed", "cancelled"):
            self.report.again.append(found.source)
        elif options.chunking not in (None, member.chunking):
            self.report.changed.append(found.source)
        else:
            self.report.unchanged.append(found.source)
            if member.state in IN_PROGRESS_STATES:
                self.pending[found.source] = member.file_id
            if attributes != member.attributes:
                self._store.change_member(options.owner, self.store_id, member.file_id, attributes)
            return
        self._queue(found, member.file_id, options.chunking or member.chunking, attributes)

    def _add(self, digest: str, found: FoundFile) -> None:
        try:
            file = self._put(digest, found)
        except OSError as error:
            self.report.fail(found.source, error.strerror or str(error))
            return
        self._queue(found, file.id, self._options.chunking or Chunking(), self._options.attributes or {})
        self._current[digest] = file.id
        (self.report.changed if found.source in self._sources else self.report.new).append(found.source)

    def _queue(self, found: FoundFile, file_id: str, chunking: Chunking, attributes: Attributes) -> None:
        new = NewMember(file_id=file_id, chunking=chunking, attributes=attributes, source=found.source)
        self._store.add_members(self._options.owner, self.store_id, [new])
        self.pending[found.source] = file_id

    def _put(self, digest: str, found: FoundFile) -> File:
        """Reuses an uploaded file: another vector store may use it, or the last run was killed before queueing it."""
        owner = self._options.owner
        file = self._store.find_file(owner, digest, found.filename)
        if file and file.id not in self._member_file_ids:
            return file
        with found.path.open("rb") as content:
            return self._store.put_file(NewFile(owner=owner, filename=found.filename), iter(lambda: content.read(READ_SIZE), b""))

    def _find_stale(self, walk: WalkResult, hashes: dict[str, str]) -> None:
        current = set(self._current.values())
        for member in self._members:
            if member.source is None or member.file_id in current or member.source in self.report.failed:
                continue
            if member.source in hashes:
                if successor := self._current.get(hashes[member.source]):
                    self._stale.append(_Stale(member, successor, False))
            elif self._options.delete and _is_gone(member.source, walk.roots):
                self._stale.append(_Stale(member, self._current.get(member.sha256), True))
                self.report.deleted.append(member.source)

    def _remove(self, member: Member) -> None:
        with suppress(NotFound):  # removed by another client
            self._store.remove_member(self._options.owner, self.store_id, member.file_id)
        self._store.delete_unused(self._options.owner, member.file_id)


def _is_gone(source: str, roots: Sequence[Path]) -> bool:
    path = Path(source)
    return any(path.is_relative_to(root) for root in roots) and not path.is_file()
