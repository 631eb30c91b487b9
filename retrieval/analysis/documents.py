"""The index terms of a document's chunks."""

from collections.abc import Sequence

from retrieval.analysis.languages import DEFAULT
from retrieval.analysis.terms import IndexedText, index_terms, text_language
from retrieval.api import Document, NewChunk
from retrieval.chunking.context import index_text


def indexed_texts(document: Document, pieces: Sequence[NewChunk]) -> list[IndexedText]:
    """One for each chunk, in the chunk's own language or, where it is too short to tell, the document's."""
    of_document = text_language(document.text) or DEFAULT
    return [index_terms(index_text(document, piece), text_language(piece.text) or of_document) for piece in pieces]
