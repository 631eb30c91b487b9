"""The ingestion queue. A claim is a lease: if a worker dies, its lease expires and another worker claims the job."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from sqlalchemy import Connection, RowMapping, func, insert, select, update

from retrieval.analysis.documents import indexed_texts
from retrieval.api import ModelIdentity, NewChunk, Vectors
from retrieval.chunking.context import embedding_text
from retrieval.records import IN_PROGRESS_STATES, IngestedFile, Job, SeenPictures, State
from retrieval.store.api import MAX_ATTEMPTS
from retrieval.store.dialect import Dialect, Entry
from retrieval.store.identity import expect_identity
from retrieval.store.removal import lock_stores, remove_chunks
from retrieval.store.rows import MEMBERS, chunking_of, sha256
from retrieval.store.schema import chunks, documents, members, pictures, stores

CLAIMED = ("parsing", "embedding")
UNCLAIMED: dict[str, Any] = {"worker": None, "lease_until": None}
ATTEMPTS_USED_UP = f"the process that read it has ended {MAX_ATTEMPTS} times without a result"


class JobQueue:
    """Implements store.api.Queue. `Job.ticket` is the value of members.worker."""

    _dialect: Dialect
    _clock: Callable[[], float]

    def claim(self, worker: str, seconds: float) -> Job | None:
        now = self._clock()
        if not self._waiting(now):
            return None
        with self._dialect.writing() as tx:
            while (row := _next(tx, now)) is not None:
                mine = update(members).where(members.c.key == row["key"])
                if row["attempts"] >= MAX_ATTEMPTS:
                    tx.execute(mine.values(state="failed", error_code="server_error", error=ATTEMPTS_USED_UP, **UNCLAIMED))
                    continue
                ticket = f"{worker}/{secrets.token_hex(8)}"
                lease = {"worker": ticket, "lease_until": now + seconds, "attempts": row["attempts"] + 1}
                tx.execute(mine.values(state="parsing", progress=0.0, **lease))
                return _job(row, ticket)
        return None

    def backlog(self) -> dict[State, int]:
        counted = select(members.c.state, func.count()).where(members.c.state.in_(IN_PROGRESS_STATES)).group_by(members.c.state)
        with self._dialect.reading() as tx:
            return dict.fromkeys(IN_PROGRESS_STATES, 0) | {row[0]: row[1] for row in tx.execute(counted)}

    def report(self, job: Job, state: State, progress: float, seconds: float) -> bool:
        return self._change(job, state=state, progress=progress, lease_until=self._clock() + seconds)

    def complete(self, job: Job, outcome: IngestedFile) -> bool:
        vectors, indexed = unit(outcome.vectors), indexed_texts(outcome.document, outcome.chunks)
        with self._dialect.writing() as tx:
            store_key = tx.execute(select(members.c.store_key).where(*_claimed_by_job(job))).scalar_one_or_none()
            if store_key is None:
                return False
            lock_stores(tx, [store_key])
            if tx.execute(select(members.c.key).where(*_claimed_by_job(job)).with_for_update()).one_or_none() is None:
                return False
            _fix_identity(tx, store_key, outcome.identity, "identity")
            generation = remove_chunks(self._dialect, tx, store_key, job.member_key)
            ids = _insert(tx, store_key, job.member_key, generation, outcome)
            entries = [Entry(chunk_id=id, indexed=of, vector=row) for id, of, row in zip(ids, indexed, vectors, strict=True)]
            self._dialect.insert(tx, store_key, entries)
            if outcome.seen is not None:
                self._insert_pictures(tx, store_key, ids, outcome, outcome.seen)
            tx.execute(update(members).where(members.c.key == job.member_key).values(**_ready(outcome)))
            return True

    def _insert_pictures(self, tx: Connection, store_key: int, ids: Sequence[int], outcome: IngestedFile, seen: SeenPictures) -> None:
        found = {id: piece.picture for id, piece in zip(ids, outcome.chunks, strict=True) if piece.picture is not None}
        _fix_identity(tx, store_key, seen.identity, "picture_identity")
        tx.execute(insert(pictures), [{"chunk_id": id, "data": picture.data} for id, picture in found.items()])
        self._dialect.insert_pictures(tx, store_key, dict(zip(found, unit(seen.vectors), strict=True)))

    def fail(self, job: Job, code: str, reason: str) -> bool:
        """Chunks from an earlier ingestion stay searchable."""
        return self._change(job, state="failed", error_code=code, error=reason, **UNCLAIMED)

    def release(self, job: Job) -> None:
        self._change(job, state="queued", progress=0.0, attempts=job.attempts - 1, **UNCLAIMED)

    def _change(self, job: Job, **values: Any) -> bool:
        with self._dialect.writing() as tx:
            return tx.execute(update(members).where(*_claimed_by_job(job)).values(**values)).rowcount == 1

    def _waiting(self, now: float) -> bool:
        """Checked in a read transaction: workers poll, and must not block writers."""
        with self._dialect.reading() as tx:
            return _next(tx, now, locked=False) is not None


def unit(vectors: Vectors) -> Vectors:
    """Rows scaled to length 1, so that inner products are cosines; zero rows stay zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def _next(tx: Connection, now: float, locked: bool = True) -> RowMapping | None:
    """The next member to claim: expired leases first, as they are older than queued members."""
    left = MEMBERS.where(members.c.state.in_(CLAIMED), members.c.lease_until < now).order_by(members.c.lease_until, members.c.key)
    waits = MEMBERS.where(members.c.state == "queued", members.c.lease_until.is_(None)).order_by(members.c.key)
    for query in (left, waits):
        query = query.limit(1)
        query = query.with_for_update(skip_locked=True, of=members) if locked else query
        if (row := tx.execute(query).mappings().one_or_none()) is not None:
            return row
    return None


def _job(row: RowMapping, ticket: str) -> Job:
    names = ("store_id", "file_id", "owner", "filename", "bytes")
    same = {name: row[name] for name in names}
    return Job(member_key=row["key"], ticket=ticket, chunking=chunking_of(row), attempts=row["attempts"] + 1, **same)


def _claimed_by_job(job: Job) -> tuple[Any, ...]:
    return (members.c.key == job.member_key, members.c.worker == job.ticket)


def _fix_identity(tx: Connection, store_key: int, identity: ModelIdentity, column: str) -> None:
    """Sets the store's embedding model at its first document, and that of pictures at its first picture. Raises WrongModel if it differs
    later."""
    row = tx.execute(select(stores).where(stores.c.key == store_key)).mappings().one()
    expect_identity(row, identity, column)
    if row[column] is None:
        tx.execute(update(stores).where(stores.c.key == store_key).values(**{column: asdict(identity)}))


def _insert(tx: Connection, store_key: int, member_key: int, generation: int, outcome: IngestedFile) -> Sequence[int]:
    """Inserts the document and its chunks. Returns the chunk ids in the order of outcome.chunks."""
    document = outcome.document
    what = {"text": document.text, "title": document.title, "media_type": document.media_type}
    tx.execute(insert(documents).values(member_key=member_key, **what))
    same = {"store_key": store_key, "member_key": member_key, "generation": generation}
    rows = [
        {
            **same,
            "ordinal": ordinal,
            "text": piece.text,
            "start": piece.start,
            "end": piece.end,
            "page": piece.page,
            "headings": list(piece.headings),
            "sha256": sha256(embedding_text(document, piece)),
            "start_seconds": piece.start_seconds,
            "end_seconds": piece.end_seconds,
            "picture": None if piece.picture is None else piece.picture.media_type,
        }
        for ordinal, piece in enumerate(outcome.chunks)
    ]
    if not rows:
        return []
    ids = {row.ordinal: row.id for row in tx.execute(insert(chunks).returning(chunks.c.ordinal, chunks.c.id), rows)}
    return [ids[ordinal] for ordinal in range(len(rows))]


def _ready(outcome: IngestedFile) -> dict[str, Any]:
    size = sum(len(piece.text.encode()) + _picture_bytes(piece) for piece in outcome.chunks) + outcome.vectors.nbytes
    fine = {"state": "ready", "progress": 1.0, "error_code": None, "error": None, **UNCLAIMED}
    return {**fine, "usage_bytes": size, "notes": list(outcome.document.notes)}


def _picture_bytes(piece: NewChunk) -> int:
    return 0 if piece.picture is None else len(piece.picture.data)
