"""GET /v1/vector_stores/{id}/chunks/{id}/picture, an extension: what a hit or a citation of a picture shows."""

from starlette.types import Send

from server.core.threads import in_thread
from server.http.context import RequestContext


async def download_picture(context: RequestContext, send: Send) -> None:
    """A PNG or JPEG file that the parser has written, so that browsers may show it."""
    media_type, data = await in_thread(context.store.picture, context.owner, context.store_id, context.chunk_id)
    headers = {
        "content-type": media_type,
        "content-length": str(len(data)),
        "content-security-policy": "sandbox; default-src 'none'",
        "x-content-type-options": "nosniff",
    }
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 200, "headers": raw})
    await send({"type": "http.response.body", "body": data})
