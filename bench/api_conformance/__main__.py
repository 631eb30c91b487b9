"""scripts/api-conformance SPECIFICATION [--url URL] [--verbose] [--json]

SPECIFICATION: OpenAI's openapi.json. Two things are held to it, property by property: the server's own description, and real
answers, of the server at --url or of one that is started for the occasion."""

import argparse
import asyncio
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from bench import servers
from bench.api_conformance import answers
from bench.api_conformance.compare import Verdict, compared
from bench.api_conformance.shape import Reader, Shape
from server.weights.progress import progress_bar
from server.weights.pull import pull

FAMILIES = {
    "chat": "/chat/completions",
    "responses": "/responses",
    "vector stores": "/vector_stores",
    "files": "/files",
    "conversations": "/conversations",
    "embeddings": "/embeddings",
    "models": "/models",
}
METHODS = ("get", "post", "delete")
Json = dict[str, Any]
Found = dict[str, list[Verdict]]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/api-conformance", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("specification", type=Path)
    parser.add_argument("--url", help="a running server, such as http://127.0.0.1:8000, of which no key is asked")
    parser.add_argument("--verbose", action="store_true", help="name every property that does not fit")
    parser.add_argument("--json", action="store_true", help="print one object")
    given = parser.parse_args(arguments)
    theirs = json.loads(given.specification.read_bytes())
    with _server(given.url) as url:
        model = httpx.get(f"{url}/v1/models").json()["data"][0]["id"]
        ours, seen = httpx.get(f"{url}/openapi.json").json(), list(answers.ask(url, model))
    described = {name: list(family(theirs, ours, prefix)) for name, prefix in FAMILIES.items()}
    answered = {name: list(answers.judged(theirs, seen, prefix)) for name, prefix in FAMILIES.items()}
    if given.json:
        print(json.dumps({name: {"described": _score(described[name]), "answered": _score(answered[name])} for name in FAMILIES}))
    else:
        _show(described, answered, given.verbose)


@contextmanager
def _server(url: str | None) -> Iterator[str]:
    if url is not None:
        yield url
        return
    with tempfile.TemporaryDirectory() as folder, progress_bar() as progress:
        started = servers.stoa(pull("smollm2", progress=progress), ["--database-url", f"{folder}/stoa.db"])
        running = asyncio.run(servers.start(started, Path(folder) / "log"))
        try:
            yield running.url
        finally:
            running.stop()


def family(theirs: Json, ours: Json, prefix: str) -> Iterator[Verdict]:
    """All operations under a path. Variants of a path by their query string ("?beta=true") are none of their own."""
    for path, operations in sorted(theirs["paths"].items()):
        if (path == prefix or path.startswith(f"{prefix}/")) and "?" not in path:
            for method in METHODS:
                if method in operations:
                    yield from operation(theirs, ours, path, method)


def operation(theirs: Json, ours: Json, path: str, method: str) -> Iterator[Verdict]:
    mine: Json = next((item.get(method, {}) for where, item in ours["paths"].items() if _same(where, f"/v1{path}")), {})
    place = f"{method.upper()} {path}"
    yield Verdict(place, None if mine else "missing")
    yield from _parameters(theirs["paths"][path][method], mine, place)
    for part, asked in (("asks", True), ("answers", False)):
        wanted, had = (
            _body(Reader(document), told, asked=asked) for document, told in ((theirs, theirs["paths"][path][method]), (ours, mine))
        )
        if wanted is not None:
            yield from compared(wanted, had, f"{place} {part} ", asked=asked)


def _same(ours: str, theirs: str) -> bool:
    """Whatever the parameters are called."""
    mine, other = ours.split("/"), theirs.split("/")
    return len(mine) == len(other) and all(a == b or (a[:1] == "{" and b[:1] == "{") for a, b in zip(mine, other, strict=True))


def _parameters(theirs: Json, ours: Json, place: str) -> Iterator[Verdict]:
    known = {parameter["name"] for parameter in ours.get("parameters", ())}
    for parameter in theirs.get("parameters", ()):
        if parameter["in"] == "query":
            name = parameter["name"].removesuffix("[]")
            yield Verdict(f"{place} ?{name}", None if name in known else "missing")


def _body(reader: Reader, operation: Json, *, asked: bool) -> Shape | None:
    """None: it has none that is JSON or a form."""
    told = (
        operation.get("requestBody", {}) if asked else next((r for s, r in operation.get("responses", {}).items() if s.startswith("2")), {})
    )
    content = told.get("content", {})
    schema = next((content[kind]["schema"] for kind in ("application/json", "multipart/form-data") if kind in content), None)
    return None if schema is None else reader.shape(schema)


def _score(verdicts: list[Verdict]) -> Json:
    fitting = sum(verdict.problem is None for verdict in verdicts)
    return {"properties": len(verdicts), "fitting": fitting, "percent": round(100 * fitting / max(len(verdicts), 1), 1)}


def _show(described: Found, answered: Found, verbose: bool) -> None:
    console = Console()
    if verbose:
        for verdict in (v for found in (described, answered) for verdicts in found.values() for v in verdicts if v.problem):
            console.print(f"{verdict.path}: {verdict.problem}", markup=False, highlight=False, soft_wrap=True)
    table = Table("family", "properties described", "conformance", "properties answered", "conformance")
    for name in FAMILIES:
        cells = [(score["properties"], f"{score['percent']} %") for score in (_score(described[name]), _score(answered[name]))]
        table.add_row(name, *(str(cell) for pair in cells for cell in pair))
    console.print(table)


if __name__ == "__main__":
    main()
