"""Where in its file a chunk stands, in words."""

from retrieval.api import Chunk


def place_of(chunk: Chunk) -> str:
    """`page 3`, `page 3, picture`, `1:02 – 1:30` in a recording, or nothing."""
    if chunk.start_seconds is not None and chunk.end_seconds is not None:
        return f"{clock_time(chunk.start_seconds)} – {clock_time(chunk.end_seconds)}"
    page, picture = chunk.page is not None, chunk.picture is not None
    return ", ".join([*([f"page {chunk.page}"] if page else []), *(["picture"] if picture else [])])


def clock_time(seconds: float) -> str:
    """[H:]MM:SS"""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
