"""kill -9 during ingestion, at random moments, and what is left of it.

python -m bench.kill                 50 kills of a process that keeps 100 files in a store, with MiniLM
python -m bench.kill --model words --kills 10 --json results.json
"""

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
FIRST_WORDS = 300.0  # seconds within which a process must have begun
SOONER = 0.8  # the next one is killed, after a run that was over before
WHOLE = 300.0  # and within which one must have ended that nobody kills
LETTERS = str.maketrans("0123456789", "abcdefghij")
CHECKS = {
    "members without a file": "SELECT count(*) FROM members WHERE file_id NOT IN (SELECT id FROM files)",
    "parts without a file": "SELECT count(*) FROM file_parts WHERE file_id NOT IN (SELECT id FROM files)",
    "documents without a member": "SELECT count(*) FROM documents WHERE member_key NOT IN (SELECT key FROM members)",
    "chunks without a member": "SELECT count(*) FROM chunks WHERE member_key NOT IN (SELECT key FROM members)",
    "chunks without a document": "SELECT count(*) FROM chunks WHERE member_key NOT IN (SELECT member_key FROM documents)",
    "chunks without a vector": "SELECT count(*) FROM chunks WHERE id NOT IN (SELECT chunk_id FROM entries)",
    "vectors without a chunk": "SELECT count(*) FROM entries WHERE chunk_id NOT IN (SELECT id FROM chunks)",
    "chunks without words": "SELECT count(*) FROM chunks WHERE id NOT IN (SELECT rowid FROM words)",
    "words without a chunk": "SELECT count(*) FROM words WHERE rowid NOT IN (SELECT id FROM chunks)",
    "ready members without chunks": "SELECT count(*) FROM members WHERE state = 'ready' AND key NOT IN (SELECT member_key FROM chunks)",
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    kills: int = 50
    files: int = 100
    model: str = "minilm"  # or words: vectors that cost nothing
    longest: float = 4.0  # seconds from a process's first word to its end at the latest; less where runs are over before
    seed: int = 0


@dataclass
class Result:
    kills: int = 0
    ended: int = 0  # runs that were over before they could be killed
    files_put: int = 0  # and acknowledged, of all runs
    files_ready: int = 0
    problems: list[str] = field(default_factory=list[str])


@dataclass
class Promises:
    """What the killed processes have acknowledged, but for what they said they would take away."""

    put: set[str] = field(default_factory=set[str])
    members: set[str] = field(default_factory=set[str])
    ready: dict[str, int] = field(default_factory=dict[str, int])  # file id -> chunks

    def hear(self, lines: Sequence[str], result: Result) -> None:
        for line in lines:
            match line.split():
                case ["put", file]:
                    self.put.add(file)
                    result.files_put += 1
                case ["member", file]:
                    self.members.add(file)
                case ["ready", file, chunks]:
                    self.ready[file] = int(chunks)
                    result.files_ready += 1
                case ["member-goes", file]:
                    self.members.discard(file)
                    self.ready.pop(file, None)
                case ["file-goes", file]:
                    self.put.discard(file)
                case _:
                    pass

    def broken(self, database: sqlite3.Connection) -> Iterator[str]:
        files = {row[0] for row in database.execute("SELECT id FROM files WHERE complete")}
        members = {row[0] for row in database.execute("SELECT file_id FROM members")}
        query = "SELECT file_id, count(*) FROM members JOIN chunks ON member_key = members.key WHERE state = 'ready' GROUP BY file_id"
        ready = dict(database.execute(query))
        yield from (f"{file} was put and is gone" for file in sorted(self.put - files))
        yield from (f"{file} was queued and is gone" for file in sorted(self.members - members))
        yield from (f"{file} had {n} chunks and has {ready.get(file)}" for file, n in self.ready.items() if ready.get(file) != n)


class Corpus:
    """A directory that changes. Each version of each file holds a word that occurs nowhere else."""

    def __init__(self, folder: Path, files: int, rng: random.Random) -> None:
        self._folder, self._rng, self._version = folder, rng, 0
        self.words: dict[str, str] = {}  # file name -> its word
        for number in range(files):
            self._write(f"{number:04}.txt")

    def change(self) -> None:
        """Four files in ten get new content, one in twenty goes, and as many come."""
        names = sorted(self.words)
        for name in self._rng.sample(names, len(names) * 4 // 10):
            self._write(name)
        for name in self._rng.sample(names, len(names) // 20):
            (self._folder / name).unlink()
            del self.words[name]
            self._write(f"new{self._version:06}.txt")

    def _write(self, name: str) -> None:
        self._version += 1
        self.words[name] = f"marker{f'{self._version:06}'.translate(LETTERS)}x"  # letters alone: codes are also found by their parts
        about = self._rng.choices(("rivers", "sharks", "engines", "bridges", "poems", "stars"), k=self._rng.randint(20, 400))
        (self._folder / name).write_text(f"{self.words[name]} is a text about {' and '.join(about)}.\n", encoding="utf-8")


def run(plan: Plan, folder: Path) -> Result:
    """`folder` is empty. Its database and its documents stay there."""
    rng, result, promises = random.Random(plan.seed), Result(), Promises()
    documents, database = folder / "documents", folder / "stoa.db"
    documents.mkdir()
    corpus = Corpus(documents, plan.files, rng)
    longest = plan.longest
    while result.kills < plan.kills:
        if not _killed(plan, folder, rng.uniform(0, longest), promises, result):
            result.ended += 1
            longest *= SOONER
        _check(database, promises, result)
        corpus.change()
    for _ in range(2):  # what was killed too often has failed, and is tried again
        _finished(plan, folder, promises, result)
    _check(database, promises, result)
    _whole(database, corpus, result)
    return result


def _killed(plan: Plan, folder: Path, after: float, promises: Promises, result: Result) -> bool:
    """False: it had ended before."""
    log = folder / "said"
    with _child(plan, folder, log) as process:
        _await_first_word(process, log)
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            process.kill()
        status = process.wait()
    promises.hear(log.read_text().splitlines(), result)
    if status not in (0, -signal.SIGKILL):
        result.problems.append(f"a run ended by itself with {status}")
    result.kills += status == -signal.SIGKILL
    return status == -signal.SIGKILL


def _finished(plan: Plan, folder: Path, promises: Promises, result: Result) -> None:
    log = folder / "said"
    with _child(plan, folder, log) as process:
        process.wait(WHOLE)
    promises.hear(log.read_text().splitlines(), result)
    if process.returncode:
        result.problems.append(f"a run that nobody killed ended with {process.returncode}")


@contextmanager
def _child(plan: Plan, folder: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "bench.kill_child", str(folder / "stoa.db"), str(folder / "documents"), plan.model]
    with log.open("wb") as file, subprocess.Popen(command, cwd=ROOT, stdout=file, env=os.environ | {"OMP_NUM_THREADS": "1"}) as process:
        try:
            yield process
        finally:
            process.kill()


def _await_first_word(process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + FIRST_WORDS
    while not log.stat().st_size and process.poll() is None:
        if time.monotonic() > deadline:
            raise RuntimeError("the process that ingests has not begun")
        time.sleep(0.01)


def _check(path: Path, promises: Promises, result: Result) -> None:
    with closing(sqlite3.connect(path)) as database:
        for check in ("integrity_check", "foreign_key_check"):
            found = [row for row in database.execute(f"PRAGMA {check}") if row != ("ok",)]
            result.problems += [f"{check}: {row}" for row in found]
        for what, query in CHECKS.items():
            if count := database.execute(query).fetchone()[0]:
                result.problems.append(f"{count} {what}")
        result.problems += promises.broken(database)


def _whole(path: Path, corpus: Corpus, result: Result) -> None:
    """All that is in the directory is found by its word, and nothing else is there."""
    from retrieval.store import StoreOptions, open_store

    store = open_store(path, StoreOptions())
    try:
        kb = store.store_named("", "kb")
        if (kb.counts.completed, kb.counts.total) != (len(corpus.words), len(corpus.words)):
            result.problems.append(f"{len(corpus.words)} files in the directory, but in the store {kb.counts}")
        for name, word in corpus.words.items():
            hits = store.hits([found.chunk_id for found in store.lexical(kb.id, word, 10)])
            names = {chunk.filename for chunk, _ in hits.values()}
            if names != {name}:
                result.problems.append(f"{word} of {name} is found in {sorted(names)}")
    finally:
        store.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.kill", description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=Plan.kills)
    parser.add_argument("--files", type=int, default=Plan.files)
    parser.add_argument("--model", default=Plan.model, help="minilm, another embedding model, or words: vectors that cost nothing")
    parser.add_argument("--longest", type=float, default=Plan.longest, metavar="SECONDS", help="a process is killed after 0 to so many")
    parser.add_argument("--seed", type=int, default=Plan.seed)
    parser.add_argument("--json", metavar="FILE", help="write the result there")
    given = vars(parser.parse_args())
    target = given.pop("json")
    with tempfile.TemporaryDirectory() as folder:
        result = run(Plan(**given), Path(folder))
    text = json.dumps({"plan": given, **asdict(result)}, indent=1)
    print(text)
    if target:
        Path(target).write_text(text, encoding="utf-8")
    sys.exit(1 if result.problems else 0)


if __name__ == "__main__":
    main()
