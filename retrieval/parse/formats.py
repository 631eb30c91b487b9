"""Document formats: media type, parser module, file extensions. The format of a given file is detected from its content (sniff.py)."""

from dataclasses import dataclass

MARKDOWN = (".md", ".markdown", ".mdown", ".mkd", ".mdx")
HTML = (".html", ".htm", ".xhtml", ".xht")
TEXT = (".txt", ".text", ".log", ".srt", ".vtt", ".ics", ".vcf")
MAIL = (".eml", ".mbox", ".mht", ".mhtml")
CSV = (".csv", ".tsv", ".tab")
JSON = (".json", ".jsonl", ".ndjson", ".geojson", ".ipynb")
WORD = (".docx", ".docm", ".dotx", ".dotm")
SLIDES = (".pptx", ".pptm", ".potx", ".potm", ".ppsx", ".ppsm")
IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp")
WORKBOOK = (".xlsx", ".xlsm", ".xltx", ".xltm")
OPENDOCUMENT = (".odt", ".ods", ".odp", ".odg", ".ott", ".ots", ".otp", ".otg", ".fodt", ".fods", ".fodp")
_LANGUAGES = (
    "py pyi pyx js mjs cjs jsx ts tsx java kt kts scala groovy c h cc cpp cxx hh hpp cu cs fs go rs swift m mm rb php pl pm lua r "
    "jl dart ex exs erl hs ml clj lisp el scm sh bash zsh fish ps1 bat sql proto graphql yaml yml toml ini cfg conf properties "
    "xsd xsl css scss less vue svelte tf cmake mk gradle asm s v sv vhd zig nim sol diff patch"
)
CODE = tuple(f".{ending}" for ending in _LANGUAGES.split())


@dataclass(frozen=True)
class Format:
    """A document format. `parser_module`: the module whose `read` takes the content as bytes or, if `streamed`, as an open file."""

    media_type: str  # MIME type
    parser_module: str
    extensions: tuple[str, ...]
    streamed: bool = False


_OFFICE = "application/vnd.openxmlformats-officedocument"
FORMATS: dict[str, Format] = {
    "pdf": Format("application/pdf", "retrieval.parse.pdf.pdf", (".pdf",), streamed=True),
    "word": Format(f"{_OFFICE}.wordprocessingml.document", "retrieval.parse.office.word.document", WORD, streamed=True),
    "slides": Format(f"{_OFFICE}.presentationml.presentation", "retrieval.parse.office.slides.presentation", SLIDES, streamed=True),
    "workbook": Format(f"{_OFFICE}.spreadsheetml.sheet", "retrieval.parse.office.workbook.workbook", WORKBOOK, streamed=True),
    "opendocument": Format(
        "application/vnd.oasis.opendocument", "retrieval.parse.office.opendocument.document", OPENDOCUMENT, streamed=True
    ),
    "binary_workbook": Format(
        "application/vnd.ms-excel", "retrieval.parse.office.workbook.binary.reader", (".xls", ".xlsb", ".xlt"), streamed=True
    ),
    "old_word": Format("application/msword", "retrieval.parse.office.old.word", (".doc", ".dot"), streamed=True),
    "old_slides": Format("application/vnd.ms-powerpoint", "retrieval.parse.office.old.slides", (".ppt", ".pps", ".pot"), streamed=True),
    "epub": Format("application/epub+zip", "retrieval.parse.web.epub", (".epub",), streamed=True),
    "rtf": Format("application/rtf", "retrieval.parse.rtf.reader", (".rtf",)),
    "mail": Format("message/rfc822", "retrieval.parse.containers.mail", MAIL),
    "outlook": Format("application/vnd.ms-outlook", "retrieval.parse.containers.outlook", (".msg",), streamed=True),
    "zip": Format("application/zip", "retrieval.parse.containers.zip_files", (".zip",), streamed=True),
    "rst": Format("text/x-rst", "retrieval.parse.markup.rst", (".rst", ".rest")),
    "asciidoc": Format("text/asciidoc", "retrieval.parse.markup.asciidoc", (".adoc", ".asciidoc")),
    "org": Format("text/org", "retrieval.parse.markup.org", (".org",)),
    "latex": Format("text/x-tex", "retrieval.parse.markup.latex", (".tex", ".latex", ".ltx")),
    "xml": Format("application/xml", "retrieval.parse.web.xml", (".xml", ".rss", ".atom")),
    "image": Format("image/*", "retrieval.parse.pdf.ocr.image", IMAGES, streamed=True),
    "html": Format("text/html", "retrieval.parse.web.html", HTML),
    "markdown": Format("text/markdown", "retrieval.parse.web.markdown", MARKDOWN),
    "sheets": Format("text/csv", "retrieval.parse.plain.csv_tables", CSV),
    "data": Format("application/json", "retrieval.parse.plain.data", JSON),
    "code": Format("text/x-source", "retrieval.parse.plain.code", CODE),
    "text": Format("text/plain", "retrieval.parse.plain.text", TEXT),
}
KIND_BY_EXTENSION: dict[str, str] = {ending: kind for kind, known in FORMATS.items() for ending in known.extensions}
