"""What a piece is found by: its text, and where in the document it stands."""

from retrieval.api import Document, NewChunk


def embedding_text(document: Document, chunk: NewChunk) -> str:
    """What the embedding model reads: title, headings, text, one below the other."""
    return "\n".join([*_context_lines(document, chunk), chunk.text])


def index_text(document: Document, chunk: NewChunk) -> str:
    """What the word index holds: the same, with title and headings twice: a word in a title says more than one in passing
    (Cranfield nDCG@10 0.481 against 0.475)."""
    above = _context_lines(document, chunk)
    return "\n".join([*above, *above, chunk.text])


def _context_lines(document: Document, chunk: NewChunk) -> list[str]:
    """Title and headings, each once, without those that the piece itself begins with."""
    lines = dict.fromkeys(line for line in (document.title, *chunk.headings) if line)
    return [line for line in lines if not chunk.text.lstrip("# \n").startswith(line)]
