"""The documentation tells the truth: what it points to exists, and what it shows was run.

A shell or Python block is preceded by `<!-- test:NAME words -->`: it is run against the server that the block called
`serve` starts, and its output must hold the words. The block called `test` is the one that is not run: it runs this.
"""

import ast
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
    if path.exists()  # the tests themselves may have been copied elsewhere
}
README, CONTRIBUTING = PAGES.get("README.md", ""), PAGES.get("CONTRIBUTING.md", "")
TEXT = "\n".join(PAGES.values())
BLOCK = re.compile(
    r"(?:<!-- test:(?P<name>\S+) ?(?P<words>.*?) ?-->\n+)?^```(?P<language>sh|bash|shell|console|python)\n(?P<code>.*?)^```", re.M | re.S
)
STEP = re.compile(r"^\| *\d+\w? *\|(.*)\|$", re.M)
PLACE = re.compile(r"`(?P<file>[\w./]+\.(?:py|cpp|h))`(?:: *`(?P<name>[A-Za-z_][\w.]*)`)?")
PATH = re.compile(r"`((?:server|retrieval|mcp_servers|engine|models|bench|tests|scripts|docs|monitoring|\.ci)/[\w./-]*)`")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)[^)]*\)")
TERM = re.compile(r"^\| \*[^|]+?\*(?: \(([^)]+)\))? \|", re.M)
BLOCKS = list(BLOCK.finditer(TEXT))
RUN = {block["name"]: block for block in BLOCKS if block["name"] not in (None, "serve", "test")}


def section(page: str, heading: str) -> str:
    """What stands below a heading, up to the next of its kind."""
    return page.partition(f"## {heading}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize(("page", "heading"), [("CONTRIBUTING.md", "A request's way"), ("docs/documents.md", "A document's way")])
def test_the_map_has_all_steps(page: str, heading: str) -> None:
    steps = STEP.findall(section(PAGES[page], heading))
    assert len(steps) >= 9, f"{page} holds the table of {heading.lower()}"
    assert all(PLACE.search(step) for step in steps), "a step names a file"


@pytest.mark.parametrize("place", sorted({(place["file"], place["name"] or "") for place in PLACE.finditer(TEXT) if "/" in place["file"]}))
def test_every_place_in_the_code_exists(place: tuple[str, str]) -> None:
    file, name = place
    assert (ROOT / file).is_file()
    assert not name or name in names(ROOT / file), f"{file} has no {name}"


@pytest.mark.parametrize("path", sorted(set(PATH.findall(TEXT))))
def test_every_path_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for target in LINK.findall(PAGES[page]):
        assert (ROOT / page).parent.joinpath(target).exists(), target


def test_the_glossary_is_short_and_its_words_are_those_of_the_code() -> None:
    glossary = section(CONTRIBUTING, "Words").strip().splitlines()
    assert 10 < len(glossary) <= 40
    files = [file for folder in ("server", "retrieval", "engine") for file in (ROOT / folder).rglob("*.py")]
    assigned = {name for file in files for name in re.findall(r"^([A-Z]\w+) = ", file.read_text(encoding="utf-8"), re.M)}
    known = assigned.union(*(names(file) for file in files))
    terms = {term for given in TERM.findall("\n".join(glossary)) for term in re.findall(r"`(\w+)`", given)}
    assert terms and terms <= known, terms - known


def test_the_readme_is_a_page_or_two() -> None:
    assert len(README.splitlines()) <= 200


def names(file: Path) -> set[str]:
    """What a Python file defines: functions, classes, and methods both as `name` and as `Class.name`."""
    if file.suffix != ".py":
        return set(re.findall(r"\w+", file.read_text(encoding="utf-8")))
    tree = ast.parse(file.read_text(encoding="utf-8"))
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    methods = {f"{c.name}.{node.name}" for c in classes for node in c.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return functions | methods | {c.name for c in classes}


def test_every_block_is_tested() -> None:
    untested = [block["code"] for block in BLOCKS if not block["name"]]
    assert not untested, f"put <!-- test:NAME --> before: {untested}"
    assert {"serve", "test"} <= {block["name"] for block in BLOCKS}


def test_the_test_command_is_what_ci_runs() -> None:
    block = next(block for block in BLOCKS if block["name"] == "test")
    command = block["code"].split()[0]
    assert os.access(ROOT / command, os.X_OK)
    assert command in (ROOT / ".ci" / "run").read_text()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The user's, but for the knowledge base: the tests have one of their own."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "STOA_DATABASE_URL": str(tmp_path_factory.mktemp("readme") / "stoa.db")}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Iterator[int]:
    """A server, started as the README says but on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free: int = probe.getsockname()[1]
    command = next(block for block in BLOCKS if block["name"] == "serve")["code"].strip()
    log = tmp_path_factory.mktemp("readme") / "log"
    with (
        log.open("wb") as sink,
        subprocess.Popen(["bash", "-c", f"exec {command} --port {free}"], cwd=ROOT, env=environment, stdout=sink, stderr=sink) as server,
    ):
        try:
            assert ready(free, server), log.read_text()
            yield free
        finally:
            server.terminate()
            server.wait(60)


def ready(port: int, server: "subprocess.Popen[bytes]", limit: float = 600) -> bool:
    end = time.monotonic() + limit
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as response:
                return response.status == 200
        except OSError:
            time.sleep(0.2)
    return False


@pytest.mark.parametrize("name", RUN)
def test_block(name: str, port: int, environment: dict[str, str]) -> None:
    block = RUN[name]
    code = block["code"].replace(":8000", f":{port}")
    command = [sys.executable, "-c", code] if block["language"] == "python" else ["bash", "-euo", "pipefail", "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert block["words"] in done.stdout
