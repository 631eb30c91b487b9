"""From a citation found in an answer to the file citation of the APIs, and where what it cites is to be opened."""

from retrieval.api import Chunk
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
        start_seconds=chunk.start_seconds,
        end_seconds=chunk.end_seconds,
        picture=chunk.picture,
        url=source_url(chunk),
    )


def source_url(chunk: Chunk) -> str:
    """Path on this server: of the picture that the chunk stands for, else of its file, with the page (RFC 8118), or the time of a recording
    (https://www.w3.org/TR/media-frags), at which it stands."""
    if chunk.picture is not None:
        return f"/v1/vector_stores/{chunk.store_id}/chunks/{chunk.id}/picture"
    file = f"/v1/files/{chunk.file_id}/content"
    if chunk.start_seconds is not None and chunk.end_seconds is not None:
        return f"{file}#t={chunk.start_seconds:g},{chunk.end_seconds:g}"
    return file if chunk.page is None else f"{file}#page={chunk.page}"
