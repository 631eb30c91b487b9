"""Which endings of names promise which reader. What a file really is, its content says: see sniff.py."""

MARKDOWN = (".md", ".markdown", ".mdown", ".mkd", ".mdx")
HTML = (".html", ".htm", ".xhtml", ".xht")
TEXT = (".txt", ".text", ".log", ".rst", ".org", ".adoc", ".asciidoc", ".tex", ".srt", ".vtt", ".eml")
CSV = (".csv", ".tsv", ".tab")
JSON = (".json", ".jsonl", ".ndjson", ".geojson", ".ipynb")
_LANGUAGES = (
    "py pyi pyx js mjs cjs jsx ts tsx java kt kts scala groovy c h cc cpp cxx hh hpp cu cs fs go rs swift m mm rb php pl pm lua r "
    "jl dart ex exs erl hs ml clj lisp el scm sh bash zsh fish ps1 bat sql proto graphql yaml yml toml ini cfg conf properties xml "
    "xsd xsl css scss less vue svelte tf cmake mk gradle asm s v sv vhd zig nim sol diff patch"
)
CODE = tuple(f".{ending}" for ending in _LANGUAGES.split())

READERS: dict[str, str] = {
    **dict.fromkeys(MARKDOWN, "retrieval.parse.markdown"),
    **dict.fromkeys(HTML, "retrieval.parse.html"),
    **dict.fromkeys(TEXT, "retrieval.parse.text"),
    **dict.fromkeys(CSV, "retrieval.parse.sheets"),
    **dict.fromkeys(JSON, "retrieval.parse.data"),
    **dict.fromkeys(CODE, "retrieval.parse.code"),
    ".pdf": "retrieval.parse.pdf",
    ".docx": "retrieval.parse.word",
    ".pptx": "retrieval.parse.slides",
    ".xlsx": "retrieval.parse.workbook",
    ".epub": "retrieval.parse.epub",
}
