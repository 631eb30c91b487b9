"""TODO."""

from retrieval.citations.cite import Citation
from server.api.common.types import FileCitation


def to_file_citation(citation: Citation, before: int = 0) -> FileCitation:
    """`before`: characters of the content before the text that the citation counts."""
    chunk = citation.chunk
    return FileCitation(
        index=before + citation.index,
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
