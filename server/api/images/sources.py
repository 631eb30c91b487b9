"""The images of a request as JSON, by URL or by the id of a file."""

from server.api.images.request_types import EditRequest, ImageRef
from server.core.errors import bad_request
from server.core.images import image_of_url
from server.core.messages import ImageFile
from server.runtime.runtime import Runtime
from server.runtime.seeing import read_image


async def image_and_mask(runtime: Runtime, body: EditRequest) -> tuple[bytes, bytes | None]:
    """Raises ApiError, also for several images, which no model here changes into one."""
    if len(body.images) > 1:
        message = f"images: one image is changed at a time, and there are {len(body.images)}; send the others in requests of their own"
        raise bad_request("images", message, "unsupported")
    image = await _read(runtime, body.images[0], "images.0")
    return image, None if body.mask is None else await _read(runtime, body.mask, "mask")


async def _read(runtime: Runtime, ref: ImageRef, field: str) -> bytes:
    match ref.image_url, ref.file_id:
        case str(url), None:
            return await read_image(runtime, image_of_url(url, f"{field}.image_url"), f"{field}.image_url")
        case None, str(id):
            return await read_image(runtime, ImageFile(id), f"{field}.file_id")
        case _:
            raise bad_request(
                field, f"{field}: must have one of image_url, such as data:image/png;base64,..., and file_id", "invalid_image"
            )
