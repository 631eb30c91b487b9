"""Test sets for bench.fusion in many languages, made of manuals that Debian packages.

python -m bench.manuals OUT gnome-es gnome-vi man-tr faq-en       folders OUT/gnome-es … in BEIR format

| set | package | documents | queries |
| gnome-LANGUAGE | gnome-user-docs | pages that are translated | their descriptions, which are no part of the documents |
| mixed-LANGUAGE | gnome-user-docs | all pages, some of them in English | as they stand |
| man-LANGUAGE | manpages, manpages-LANGUAGE | pages | what their NAME lines say, which are no part of the documents |
| reference-LANGUAGE | debian-reference-LANGUAGE | sections | their headings |
| faq-en | python3-doc | answers | questions |

Packages are fetched by apt-get download and unpacked beside the sets; nothing is installed.
"""

import argparse
import gzip
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lxml import html as lxml_html
from lxml.etree import Element, XMLParser, parse

Pair = tuple[str, str]  # query, document
MIN_DOCUMENT, MAX_DOCUMENT, MIN_QUERY = 200, 6000, 8  # characters
MAX_PAIRS = 300
_MALLARD = "{http://projectmallard.org/1.0/}"
_MAN = {"zh": "zh_CN"}  # folder of a language, where its name is another
_ESCAPE = re.compile(r"\\(?:f(?:\[[^]]*\]|\(..|.)|s[+-]?\d+|[&|^/,%:]|\*(?:\[[^]]*\]|\(..|.)|\([a-z]{2})")
_NAME_LINE = re.compile(r"^\S[^\n]*?\s(?:\\?-|–|—)\s+(?P<says>\S.*)$", re.M)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.manuals", description="Make test sets of Debian's manuals.")
    parser.add_argument("out", type=Path, help="folder that takes the sets, and the packages below packages/")
    parser.add_argument("sets", nargs="+", metavar="SET", help="such as gnome-es, mixed-ta, man-tr, reference-ja, faq-en")
    options = parser.parse_args(argv)
    for name in options.sets:
        kind, _, language = name.partition("-")
        if kind not in _KINDS:
            parser.error(f"there is no set {name}: the kinds are {', '.join(_KINDS)}")
        pairs = list(dict(_KINDS[kind](options.out / "packages", language)).items())[:MAX_PAIRS]
        write(options.out / name, pairs)
        print(f"{name}: {len(pairs)} documents")


def write(folder: Path, pairs: list[Pair]) -> None:
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    documents = ({"_id": f"d{at}", "title": "", "text": text} for at, (_, text) in enumerate(pairs))
    _write_lines(folder / "corpus.jsonl", documents)
    _write_lines(folder / "queries.jsonl", ({"_id": f"q{at}", "text": query} for at, (query, _) in enumerate(pairs)))
    judged = "".join(f"q{at}\td{at}\t1\n" for at in range(len(pairs)))
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}", encoding="utf-8")


def _write_lines(path: Path, rows: Iterator[dict[str, str]]) -> None:
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8")


def _package(packages: Path, name: str) -> Path:
    """The unpacked package; /usr/share of it."""
    folder = packages / name
    if not folder.exists():
        packages.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", "-q", name], cwd=packages, check=True)
        archive = next(packages.glob(f"{name}_*.deb"))
        subprocess.run(["dpkg-deb", "-x", str(archive), str(folder)], check=True)
    return folder / "usr" / "share"


def _pair(query: str, document: str) -> Iterator[Pair]:
    query, document = " ".join(query.split()), " ".join(document.split())[:MAX_DOCUMENT]
    if len(query) >= MIN_QUERY and len(document) >= MIN_DOCUMENT:
        yield query, document


def _gnome(packages: Path, language: str, *, all_pages: bool = False) -> Iterator[Pair]:
    help_ = _package(packages, "gnome-user-docs") / "help"
    for path in sorted((help_ / language / "gnome-help").glob("*.page")):
        description, text = _mallard(path)
        original = _mallard(help_ / "C" / "gnome-help" / path.name)[0]
        if all_pages or language == "C" or description != original:
            yield from _pair(description, text)


def _mallard(path: Path) -> Pair:
    root: Any = parse(str(path), XMLParser(resolve_entities=False)).getroot()
    description = "".join(next(iter(root.iter(f"{_MALLARD}desc")), Element("none")).itertext())
    for info in list(root.iter(f"{_MALLARD}info")):
        info.getparent().remove(info)
    return " ".join(description.split()), " ".join(root.itertext())


def _mixed(packages: Path, language: str) -> Iterator[Pair]:
    return _gnome(packages, language, all_pages=True)


def _man(packages: Path, language: str) -> Iterator[Pair]:
    english = language == "en"
    folder = _package(packages, "manpages" if english else f"manpages-{language}") / "man"
    for path in sorted((folder if english else folder / _MAN.get(language, language)).glob("man*/*.gz")):
        yield from _man_page(gzip.decompress(path.read_bytes()).decode("utf-8", "replace"))


def _man_page(source: str) -> Iterator[Pair]:
    parts = re.split(r"^\.\s*S[Hh]\b.*$", source, flags=re.M)
    name = _NAME_LINE.search(_plain(parts[1])) if len(parts) > 2 else None
    if name:
        yield from _pair(name["says"], " ".join(map(_plain, parts[2:])))


def _plain(roff: str) -> str:
    """The words of man macros: requests that take text keep it, others go."""
    lines = [re.sub(r"^\.\s*(?:B|I|BR|RB|BI|IB|IR|RI|SM|SB|TP|IP|SS|Nm|Nd)\b\s*", "", line) for line in roff.split("\n")]
    text = "\n".join(line for line in lines if not line.startswith((".", "'")))
    return _ESCAPE.sub("", text.replace(r"\-", "-").replace('"', ""))


def _reference(packages: Path, language: str) -> Iterator[Pair]:
    for path in sorted((_package(packages, f"debian-reference-{language}") / "debian-reference").glob(f"ch*.{language}.html")):
        for section in _elements(path, "//div[@class='section']"):
            heading = next(iter(section.xpath(".//*[self::h2 or self::h3 or self::h4]")), None)
            if heading is not None:
                text = " ".join(section.itertext())
                query = re.sub(r"^[\d.\s\xa0]+", "", "".join(heading.itertext()))
                yield from _pair(query, text.replace("".join(heading.itertext()), "", 1))


def _faq(packages: Path, language: str) -> Iterator[Pair]:
    for path in sorted((_package(packages, "python3.11-doc") / "doc" / "python3.11" / "html" / "faq").glob("*.html")):
        for section in _elements(path, "//section[h3]"):
            heading = section.find("h3")
            question = "".join(heading.itertext()).replace("¶", "")
            section.remove(heading)
            yield from _pair(question, " ".join(section.itertext()))


def _elements(path: Path, where: str) -> list[Any]:
    parser = lxml_html.HTMLParser(encoding="utf-8")
    root: Any = lxml_html.parse(str(path), parser).getroot()
    return root.xpath(where)


_KINDS: dict[str, Callable[[Path, str], Iterator[Pair]]] = {
    "gnome": _gnome,
    "mixed": _mixed,
    "man": _man,
    "reference": _reference,
    "faq": _faq,
}

if __name__ == "__main__":
    main()
