"""Image files become pixels in a subprocess; whatever is in them ends in pixels or in a clear reason, and the next file is decoded."""

import asyncio
import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from retrieval.images.decoder import ImageDecoder, Pixels
from retrieval.images.limits import ImageError, ImageLimits

LIMITS = ImageLimits(seconds=60, file_bytes=1 << 20, pixels=1_000_000)
NOISE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
TOP_LEFT_RED = Image.fromarray(np.array([[[250, 0, 0], [0, 250, 0]]], np.uint8)).resize((40, 20), Image.Resampling.NEAREST)


@pytest.fixture(scope="module")
def decoder() -> Iterator[ImageDecoder]:
    decoder = ImageDecoder(LIMITS)
    yield decoder
    decoder.close()


def decode(decoder: ImageDecoder, data: bytes) -> Pixels:
    return asyncio.run(decoder.decode(data))


def refused(decoder: ImageDecoder, data: bytes) -> tuple[str, str]:
    """Why, and its code."""
    with pytest.raises(ImageError) as error:
        decode(decoder, data)
    return str(error.value), error.value.code


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("form", "options"), [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True}), ("TIFF", {"compression": "tiff_lzw"})]
)
def test_exact_formats(form: str, options: dict[str, Any], decoder: ImageDecoder) -> None:
    np.testing.assert_array_equal(decode(decoder, saved(Image.fromarray(NOISE), form, **options)), NOISE)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 20}])
def test_jpeg_is_what_pillow_makes_of_it(options: dict[str, Any], decoder: ImageDecoder) -> None:
    data = saved(Image.fromarray(NOISE), "JPEG", **options)
    np.testing.assert_array_equal(decode(decoder, data), np.asarray(Image.open(io.BytesIO(data))))


def test_the_first_picture_of_several(decoder: ImageDecoder) -> None:
    frames = [Image.new("RGB", (8, 6), color) for color in ("red", "blue")]
    for form in ("GIF", "WEBP", "TIFF", "PNG"):
        pixels = decode(decoder, saved(frames[0], form, save_all=True, append_images=frames[1:]))
        assert pixels.shape == (6, 8, 3)
        assert pixels[3, 4, 0] > 200 and pixels[3, 4, 2] < 50, form


@pytest.mark.parametrize(
    ("orientation", "shape", "corner"), [(1, (20, 40, 3), 0), (3, (20, 40, 3), 1), (6, (40, 20, 3), 0), (8, (40, 20, 3), 1)]
)
def test_upright_as_the_camera_says(orientation: int, shape: tuple[int, ...], corner: int, decoder: ImageDecoder) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = decode(decoder, saved(TOP_LEFT_RED, "JPEG", exif=exif, quality=95))
    assert pixels.shape == shape
    assert pixels[2, 2].argmax() == corner


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK", "I;16"])
def test_modes_become_red_green_and_blue(mode: str, decoder: ImageDecoder) -> None:
    image = Image.new(mode, (7, 5))
    pixels = decode(decoder, saved(image, "TIFF" if mode == "CMYK" else "PNG"))
    assert pixels.shape == (5, 7, 3)
    np.testing.assert_array_equal(pixels, np.asarray(image.convert("RGB")))


SVG = ['<svg xmlns="http://www.w3.org/2000/svg"/>', '<?xml version="1.0"?>\n<svg/>', "  <!-- --><svg/>"]


@pytest.mark.parametrize("data", SVG)
def test_svg_is_refused_by_name(data: str, decoder: ImageDecoder) -> None:
    why, code = refused(decoder, data.encode())
    assert "the file is SVG" in why and code == "unsupported_image_media_type"


@pytest.mark.parametrize(
    "data", [b"hello", b"%PDF-1.4", b"\x00" * 999, saved(Image.new("RGB", (4, 4)), "PPM"), saved(Image.new("RGB", (4, 4)), "ICO")]
)
def test_other_files(data: bytes, decoder: ImageDecoder) -> None:
    why, code = refused(decoder, data)
    assert "no image in one of PNG, JPEG, GIF, WEBP, BMP, TIFF" in why and code == "unsupported_image_media_type"


def test_no_bytes_and_too_many(decoder: ImageDecoder) -> None:
    assert refused(decoder, b"") == ("the image is empty (0 bytes)", "empty_image_file")
    why, code = refused(decoder, b"\x89PNG" + bytes(2 << 20))
    assert "the image has 2.0 MiB; at most 1 MiB are read" in why and code == "image_file_too_large"


def test_30_megabytes_are_too_many_by_default() -> None:
    with pytest.raises(ImageError, match="at most 20 MiB are read"):
        decode(ImageDecoder(), bytes(30_000_000))


def bomb(side: int) -> bytes:
    """A PNG of so many black pixels a side, in few bytes; its data ends early, which nobody should come to see."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))

    head = struct.pack("!IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1 << 20), 9)) + chunk(b"IEND", b"")


def test_a_bomb_is_refused_before_it_is_decoded(decoder: ImageDecoder) -> None:
    why, code = refused(decoder, bomb(50_000))
    assert "50000 x 50000 pixels; at most 1 million are read" in why and code == "image_too_large"


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
def test_truncated_files(form: str, decoder: ImageDecoder) -> None:
    whole = saved(Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)), form)
    why, code = refused(decoder, whole[: len(whole) // 2])
    assert "damaged" in why and code in ("image_parse_error", "unsupported_image_media_type")


def test_what_takes_too_much_memory() -> None:
    """The process that decodes may not have it, and the next image is decoded."""
    decoder = ImageDecoder(ImageLimits(memory_bytes=400 << 20, pixels=10**9, seconds=60))
    try:
        why, code = refused(decoder, bomb(20_000))
        assert code == "image_parse_error"
        assert "memory" in why or "damaged" in why or "crash" in why
        assert decode(decoder, saved(Image.fromarray(NOISE), "PNG")).shape == NOISE.shape
    finally:
        decoder.close()


def test_many_at_once(decoder: ImageDecoder) -> None:
    async def all_of_them() -> list[Pixels]:
        return await asyncio.gather(*(decoder.decode(saved(Image.new("RGB", (n, 3)), "PNG")) for n in range(1, 9)))

    assert [pixels.shape[1] for pixels in asyncio.run(all_of_them())] == list(range(1, 9))


def test_a_cancelled_call_ends_and_the_next_is_served(decoder: ImageDecoder) -> None:
    async def cancelled() -> None:
        call = asyncio.create_task(decoder.decode(saved(Image.fromarray(NOISE), "PNG")))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(cancelled())
    assert decode(decoder, saved(Image.fromarray(NOISE), "PNG")).shape == NOISE.shape
