"""Second readers, by the ending of a file: programs and the text that stands in a file's XML."""

import email
import email.policy
import importlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lxml.etree import QName, XMLSyntaxError, fromstring

from retrieval.parse.common.decoding.decode import decode

Reader = Callable[[Sequence[Path]], dict[Path, str]]  # leaves out what it cannot read
SECONDS = 60  # for a file
BATCH = 20  # files that LibreOffice converts at a time: starting it takes longer than most files
_CALC = (".ods", ".xls", ".xlsb", ".xlsx", ".xlsm", ".xltx", ".csv")
# parts of Office files with text that a person sees, and elements whose text is none
_PARTS = re.compile(
    r"word/(?:document|header\d*|footer\d*|footnotes|endnotes|comments)\.xml"
    r"|ppt/(?:slides/slide|notesSlides/notesSlide|charts/chart|diagrams/data)\d+\.xml|word/charts/chart\d+\.xml|content\.xml"
)
_NO_TEXT = {"del", "moveFrom", "Fallback", "instrText", "delText", "f", "formula", "rPh", "tracked-changes", "rt", "formatCode"}
_PARAGRAPHS = {"p", "si", "c", "h", "pt", "is"}
_TEXTS = {"t", "v", "span", "p", "h", "a"}


class Unread(Exception):
    """The second reader cannot read the file, or is not installed."""


def readers(ending: str) -> dict[str, Reader]:
    """By name, for files of this ending."""
    found = _BY_ENDING.get(ending.lower(), {})
    return {name: reader for name, reader in found.items() if name != "libreoffice" or shutil.which("soffice")}


def libreoffice(paths: Sequence[Path]) -> dict[Path, str]:
    """What LibreOffice exports as text: documents as printed, all sheets as shown. The files are of one ending."""
    found = dict[Path, str]()
    for at in range(0, len(paths), BATCH):
        found |= _converted(dict(enumerate(paths[at : at + BATCH])))
    return found


def _converted(paths: dict[int, Path]) -> dict[Path, str]:
    sheets = "csv:Text - txt - csv (StarCalc):9,34,76,1,,0,false,true,false,false,false,-1"
    kind = sheets if paths[0].suffix.lower() in _CALC else "txt:Text (encoded):UTF8"
    texts = dict[Path, str]()
    with tempfile.TemporaryDirectory() as folder:
        copies = [shutil.copy(path, f"{folder}/{number:04}{path.suffix.lower()}") for number, path in paths.items()]
        options = (f"-env:UserInstallation=file://{folder}/profile", "--headless", "--norestore")
        try:
            _run("soffice", *options, "--convert-to", kind, "--outdir", f"{folder}/out", *copies, files=len(paths))
        except Unread as error:
            print(f"LibreOffice: {error}", file=sys.stderr)
        for made in sorted(Path(folder, "out").glob("*")):  # a sheet each
            path = paths[int(made.name[:4])]
            texts[path] = f"{texts.get(path, '')}\n{made.read_text(encoding='utf-8', errors='replace')}"
    return texts


def _each(read: Callable[[Path], str]) -> Reader:
    """A reader of one file at a time, which raises Unread."""

    def read_all(paths: Sequence[Path]) -> dict[Path, str]:
        texts = dict[Path, str]()
        for path in paths:
            try:
                texts[path] = read(path)
            except Unread as error:
                print(f"{path}: {error}", file=sys.stderr)
        return texts

    return read_all


def pdftotext(path: Path) -> str:
    return _run("pdftotext", "-layout", str(path), "-")


def office_xml(path: Path) -> str:
    """The text of all parts that a person sees, paragraph by paragraph, without what was deleted."""
    try:
        with zipfile.ZipFile(path) as zipped:
            roots = [fromstring(zipped.read(name)) for name in zipped.namelist() if _PARTS.fullmatch(name)]
    except (zipfile.BadZipFile, XMLSyntaxError, KeyError) as error:
        raise Unread(str(error)) from error
    return "\n".join("".join(_texts(root)) for root in roots)


def trafilatura(path: Path) -> str:
    """The main text of a page, with its tables and comments."""
    try:
        extract = importlib.import_module("trafilatura").extract
    except ImportError:
        raise Unread("trafilatura is not installed") from None
    return extract(decode(path.read_bytes(), declared=True).text, include_comments=True, include_tables=True, favor_recall=True) or ""


def python_email(path: Path) -> str:
    """Header and body as Python's newer interface to mail gives them."""
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    try:
        body = message.get_body(("plain", "html"))
        texts = [str(message[name] or "") for name in ("from", "to", "cc", "subject")] + [body.get_content() if body else ""]
    except (LookupError, ValueError, AttributeError) as error:
        raise Unread(str(error)) from error
    return re.sub(r"<[^<>]*>", " ", "\n".join(texts)) if body and body.get_content_type() == "text/html" else "\n".join(texts)


def _texts(element: Any) -> Iterator[str]:
    name = QName(element).localname if isinstance(element.tag, str) else ""
    if not name or name in _NO_TEXT or (name == "fld" and element.get("type") == "slidenum"):
        return
    if name in _TEXTS:
        yield element.text or ""
    for child in element:
        yield from _texts(child)
        if name in _TEXTS:
            yield child.tail or ""
    yield "\n" if name in _PARAGRAPHS else " " if name in ("tab", "br", "s", "line-break") else ""


def _run(*command: str, files: int = 1) -> str:
    try:
        return subprocess.run(command, capture_output=True, timeout=SECONDS * files, check=True).stdout.decode("utf-8", "replace")
    except FileNotFoundError:
        raise Unread(f"{command[0]} is not installed") from None
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise Unread(str(error)[:200]) from error


_XML = {"xml": _each(office_xml)}
_PAGES = {"trafilatura": _each(trafilatura)}
_PRINTED = {"libreoffice": libreoffice}
_BY_ENDING: dict[str, dict[str, Reader]] = {
    ".pdf": {"pdftotext": _each(pdftotext)},
    **dict.fromkeys((".html", ".htm", ".xhtml"), _PAGES),
    ".eml": {"email": _each(python_email)},
    **dict.fromkeys((".docx", ".docm", ".dotx", ".ods", ".odt"), _PRINTED | _XML),
    **dict.fromkeys((".xlsx", ".xlsm", ".xltx", ".doc", ".xls", ".xlsb", ".rtf"), _PRINTED),
    **dict.fromkeys((".pptx", ".pptm", ".ppsx", ".potx", ".odp"), _XML),  # LibreOffice exports no text of slides
}
