"""`stoa ingest` and `stoa search`: in this process with an embedder that knows words, and once as people run them."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from retrieval.ingest.worker import Ingestor, WorkerOptions
from retrieval.search.retriever import KnowledgeSearch
from retrieval.store import StoreOptions, open_store
from server.cli.ingest import parse_attributes, parse_chunking
from server.cli.main import cli
from server.cli.search import parse_filter
from server.runtime.knowledge_base import KnowledgeBase
from tests.retrieval.plain import PlainParser, WordEmbedder
from tests.server.conftest import ROOT

Run = Callable[..., Result]


@dataclass
class Closing(WordEmbedder):
    async def close(self) -> None: ...


class ClosingParser(PlainParser):
    def close(self) -> None: ...


def knowledge(database: Path, pause: float = 0.0) -> KnowledgeBase:
    store, parser, embedder = open_store(database, StoreOptions()), ClosingParser(), Closing(pause=pause)
    ingestor: Any = Ingestor(store, parser, embedder, options=WorkerOptions(poll=0.05))
    words: Any = embedder
    return KnowledgeBase(
        store=store,
        embedder=words,
        reranker=None,
        retriever=KnowledgeSearch(store, embedder),
        parser=parser,
        ingestor=ingestor,
        embedding_name="words",
    )


@pytest.fixture
def stoa(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line in a directory of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("server.cli.knowledge_base.open_knowledge_base", lambda *_, speech=None: knowledge(tmp_path / "stoa.db"))
    return lambda *words: CliRunner().invoke(cli, [str(word) for word in words])


def write(folder: Path, **texts: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


def test_ingest_tells_what_it_has_done_and_search_finds_it(stoa: Run, tmp_path: Path) -> None:
    docs = write(tmp_path / "docs", rivers="The Elbe flows to Hamburg.", sharks="Sharks breathe through gills.")
    told = stoa("ingest", docs, "--store", "kb")
    assert told.exit_code == 0, told.output
    assert told.stdout.split() == ["files", "new", "2", "changed", "0", "deleted", "0", "unchanged", "0", "failed", "0"]
    (docs / "sharks.txt").unlink()
    write(docs, rivers="The Elbe flows to Hamburg and Cuxhaven.")
    told = json.loads(stoa("ingest", docs, "--store", "kb", "--json").stdout)
    assert told["changed"] == [str(docs / "rivers.txt")] and told["deleted"] == [str(docs / "sharks.txt")]
    found = stoa("search", "Where does the Elbe flow?", "--store", "kb")
    assert found.exit_code == 0 and "1. rivers.txt" in found.stdout and "Cuxhaven" in found.stdout
    assert "gills" not in stoa("search", "sharks gills", "--store", "kb").stdout


def test_a_file_that_fails_is_named_with_its_reason_and_ends_with_1(stoa: Run, tmp_path: Path) -> None:
    docs = write(tmp_path / "docs", good="text", empty=" ")
    (docs / "image.png").write_bytes(b"\x89PNG\0")
    told = stoa("ingest", docs, "--store", "kb")
    assert told.exit_code == 1
    assert f"failed {docs / 'empty.txt'}: the file holds no text" in told.stdout
    assert "1 .png" in told.stdout
    told = json.loads(stoa("ingest", docs, "--store", "kb", "--json").stdout)
    assert told["skipped"] == {".png": 1} and list(told["failed"]) == [str(docs / "empty.txt")]


def test_search_as_json_with_a_filter(stoa: Run, tmp_path: Path) -> None:
    write(tmp_path / "a", one="The river is long.")
    write(tmp_path / "b", two="The river is short.")
    stoa("ingest", tmp_path / "a", "--store", "kb", "--attribute", "year=2025", "--attribute", "kind=old")
    stoa("ingest", tmp_path / "b", "--store", "kb", "--attribute", "year=2026")
    by_year = json.dumps({"type": "gt", "key": "year", "value": 2025})
    (hit,) = json.loads(stoa("search", "river", "--store", "kb", "--json", "--filter", by_year).stdout)
    assert (hit["filename"], hit["attributes"], hit["text"]) == ("two.txt", {"year": 2026}, "The river is short.")
    assert 0 < hit["score"] <= 1 and (hit["start"], hit["end"], hit["page"]) == (0, 19, None)
    assert len(json.loads(stoa("search", "river", "--store", "kb", "--json", "--limit", 1).stdout)) == 1
    assert stoa("search", "river", "--store", "kb", "--filter", by_year.replace("2025", "2030")).stdout == "nothing was found\n"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("ingest", "nowhere", "--store", "kb"), 1, "nowhere is neither a file nor a directory"),
        (("ingest", ".", "--store", "kb", "--attribute", "novalue"), 2, "--attribute novalue: expected KEY=VALUE"),
        (("ingest", ".", "--store", "kb", "--chunk-size", "100", "--chunk-overlap", "60"), 2, "at most half of --chunk-size 100"),
        (("ingest", ".", "--store", " "), 1, "--store: it is empty"),
        (("search", " ", "--store", "kb"), 1, "QUESTION: it is empty"),
        (("search", "x", "--store", "nothing"), 1, "there is no vector store 'nothing'"),
        (("search", "x", "--store", "kb", "--filter", "{"), 1, "--filter: "),
        (("search", "x", "--store", "kb", "--filter", '{"type": "eq", "key": "k", "value": [1]}'), 1, "eq takes one value"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(stoa: Run, words: Sequence[str], status: int, said: str) -> None:
    told = stoa(*words)
    assert (told.exit_code, told.stdout) == (status, "") and said in told.stderr


def test_without_an_embedding_model_there_is_no_knowledge_base(stoa: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.cli.knowledge_base.open_knowledge_base", lambda *_, speech=None: None)
    told = stoa("ingest", write(tmp_path / "docs"), "--store", "kb")
    assert told.exit_code == 1 and "STOA_EMBEDDING_MODEL" in told.stderr


def test_a_folder_without_documents_is_told(stoa: Run, tmp_path: Path) -> None:
    told = stoa("ingest", write(tmp_path / "docs"), "--store", "kb")
    assert told.exit_code == 0 and f"there is nothing to read in {tmp_path / 'docs'}" in told.stderr


def test_values_of_attributes_and_sizes() -> None:
    given = parse_attributes(["a=1", "b=2.5", "c=true", "d=word", "e=x=y", "f=", "g=NaN", "h=[1]", 'i="q"', f"j={10**400}", "k=2020"])
    kept = {"a": 1, "b": 2.5, "c": True, "d": "word", "e": "x=y", "f": "", "g": "NaN", "h": "[1]", "i": '"q"', "j": str(10**400)}
    assert given is not None and given == {**kept, "k": 2020}
    assert json.dumps([given["a"], given["c"], given["k"]]) == "[1, true, 2020]"
    assert parse_attributes([]) is None and parse_chunking(None, None) is None
    with pytest.raises(ValueError, match="16"):
        parse_attributes([f"k{n}=1" for n in range(17)])
    assert parse_filter(None) is None


SLOW = """
import sys
from pathlib import Path
import server.cli.knowledge_base
from server.cli.main import main
from tests.server.cli.test_ingest import knowledge
server.cli.knowledge_base.open_knowledge_base = lambda *_, speech=None: knowledge(Path("stoa.db"), pause=1.0)
sys.argv = ["stoa", "ingest", "docs", "--store", "kb"]
main()
"""


def test_an_interrupt_puts_back_what_is_not_ready(tmp_path: Path) -> None:
    write(tmp_path / "docs", **{f"a{n}": f"text {n}" for n in range(40)})
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell that put the tests into the background has it ignored
    command = [sys.executable, "-c", SLOW]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=heard) as process:
        while process.poll() is None and not ready(tmp_path / "stoa.db"):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 130 and "interrupted" in said and "Traceback" not in said, said
    states = Counter(state for state, _ in members(tmp_path / "stoa.db"))
    assert states["ready"] >= 1 and states.keys() <= {"ready", "queued"} and states["queued"] >= 1
    assert {lease for _, lease in members(tmp_path / "stoa.db")} == {None}


def members(database: Path) -> list[tuple[str, float | None]]:
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return connection.execute("SELECT state, lease_until FROM members").fetchall()
    return []


def ready(database: Path) -> bool:
    return any(state == "ready" for state, _ in members(database))


@pytest.fixture(scope="module")
def minilm() -> str:
    from server.weights.pull import pull

    pull("minilm")
    return "minilm"


def test_as_people_run_it(minilm: str, tmp_path: Path) -> None:
    docs = write(
        tmp_path / "docs",
        rivers="# Rivers\n\nThe Elbe flows through Dresden and Hamburg into the North Sea.",
        sharks="Sharks take in oxygen through gills.",
        surprise="A PDF it is not.",
    )
    (docs / "surprise.txt").rename(docs / "surprise.pdf")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STOA_") or name == "STOA_HOME"}
    environment |= {"STOA_DATABASE_URL": str(tmp_path / "stoa.db"), "STOA_EMBEDDING_MODEL": minilm, "PYTHONPATH": str(ROOT)}

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "server.cli", *words]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    told = run("ingest", str(docs), "--store", "kb", "--json")
    report = json.loads(told.stdout)
    assert len(report["new"]) + len(report["failed"]) == 3 and str(docs / "rivers.txt") in report["new"], told.stderr
    found = run("search", "How do fish breathe under water?", "--store", "kb", "--limit", "1")
    assert "sharks.txt" in found.stdout and "oxygen" in found.stdout, found.stderr
