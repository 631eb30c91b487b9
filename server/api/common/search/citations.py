"""From a citation found in an answer to the file citation of the APIs."""

from retrieval.citations.cite import Citation
from server.api.common.types import FileCitation


def to_file_citation(citation: Citation, offset: int = 0) -> FileCitation:
    """`offset`: characters of the content before the text to which the citation's index refers."""
    chunk = citation.chunk
    return FileCitation(
        index=offset + citation.index,
        file_id=chunk.file_id,
        filename=chunk.filename,
        page=chunk.page,
        start=citation.start,
        end=citation.end,
        quote=citation.quote,
        chunk_id=chunk.id,
        vector_store_id=chunk.store_id,
        score=citation.score,
    )
