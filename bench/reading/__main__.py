"""How complete the text of documents is: each file of a folder is read by us and by second readers.

python -m bench.reading FOLDER                    all files whose kind has a second reader
python -m bench.reading FOLDER --ending .docx     those files alone
python -m bench.reading FOLDER --below 0.99 --json results.json
"""

import argparse
import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.reading.compare import Comparison, compare
from bench.reading.readers import readers
from retrieval.api import Unreadable
from retrieval.parse import Limits, SubprocessParser

MISSING_SHOWN = 12  # words of a file


@dataclass(frozen=True, slots=True)
class Result:
    """`refused`: why we did not read the file, "" if we did."""

    path: Path
    reader: str
    comparison: Comparison
    refused: str


def main(argv: list[str] | None = None) -> None:
    options = _parser().parse_args(argv)
    files = sorted(path for path in Path(options.folder).rglob("*") if path.is_file() and readers(path.suffix))
    chosen = [path for path in files if not options.ending or path.suffix.lower() in options.ending]
    results = list(measure(chosen))
    _show(results, options.below)
    if options.json:
        Path(options.json).write_text(json.dumps(_as_json(results), indent=1), encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.reading", description="Hold our reading of documents against second readers.")
    parser.add_argument("folder", help="with the documents, in any depth")
    parser.add_argument("--ending", nargs="+", metavar=".DOCX", help="read only these files")
    parser.add_argument("--below", type=float, default=0.99, help="list files of which less was read, with the missing words")
    parser.add_argument("--json", metavar="FILE", help="write all numbers there")
    return parser


def measure(paths: list[Path]) -> Iterator[Result]:
    """One result for each file and second reader that can read it."""
    by_ending = defaultdict[str, list[Path]](list)
    for path in paths:
        by_ending[path.suffix.lower()].append(path)
    parser = SubprocessParser(Limits())
    try:
        for ending, found in sorted(by_ending.items()):
            ours = {path: _read(parser, path) for path in found}
            for name, reader in readers(ending).items():
                theirs = reader(found)
                for path in found:
                    if path in theirs:
                        yield Result(path, name, compare(ours[path][0], theirs[path]), ours[path][1])
                    else:
                        print(f"{path}: {name} cannot read it", file=sys.stderr)
    finally:
        parser.close()


def _read(parser: SubprocessParser, path: Path) -> tuple[str, str]:
    try:
        document = asyncio.run(parser.parse(_content(path), path.name))
    except Unreadable as error:
        return "", str(error)
    return document.text, ""


async def _content(path: Path) -> AsyncIterator[bytes]:
    yield path.read_bytes()


def _show(results: list[Result], below: float) -> None:
    table = Table("ending", "reader", "files", "words", "read", title="words of the second reader that we read")
    groups = defaultdict[tuple[str, str], list[Result]](list)
    for result in results:
        groups[result.path.suffix.lower(), result.reader].append(result)
    for (ending, reader), found in sorted(groups.items()):
        total = sum(result.comparison.total for result in found)
        table.add_row(ending, reader, str(len(found)), f"{total:,}", f"{_share(found):.2%}")
    console = Console()
    console.print(table)
    for result in results:
        if result.comparison.share < below and result.comparison.total:
            words = ", ".join(word for word, _ in result.comparison.missing.most_common(MISSING_SHOWN))
            reason = f" refused: {result.refused}" if result.refused else ""
            console.print(
                f"{result.path} ({result.reader}): {result.comparison.share:.1%} of {result.comparison.total}{reason} {words}", markup=False
            )


def _share(results: list[Result]) -> float:
    total = sum(result.comparison.total for result in results)
    return 1 - sum(result.comparison.missing.total() for result in results) / total if total else 1.0


def _as_json(results: list[Result]) -> list[dict[str, object]]:
    return [
        {
            "file": result.path.name,
            "reader": result.reader,
            "words": result.comparison.total,
            "share": round(result.comparison.share, 4),
            "missing": dict(result.comparison.missing.most_common(MISSING_SHOWN)),
            "refused": result.refused,
        }
        for result in results
    ]


if __name__ == "__main__":
    main()
