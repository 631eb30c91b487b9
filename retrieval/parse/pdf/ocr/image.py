"""Images of documents: the text that is recognised in them. Several frames, as of a TIFF from a scanner, are pages."""

from collections.abc import Iterator
from typing import IO

from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.limits import ParseError
from retrieval.parse.pdf import layout
from retrieval.parse.pdf.ocr.page import RecognisedPage, recognise
from retrieval.parse.pdf.ocr.tesseract import MISSING, NOTE, Picture, open_recogniser
from retrieval.parse.pdf.tables.arrange import in_order

MAX_PIXELS = 80_000_000
MIN_WIDTH = 1500  # pixels: smaller images are enlarged, so that letters are as high as the models know them
ENLARGED, USUAL_DPI = 2, 200


def read(source: IO[bytes], builder: DocumentBuilder) -> None:
    recogniser = open_recogniser(builder.limits)
    if recogniser is None:
        raise ParseError(f"the file is an image: {MISSING}", "unsupported_file")
    pages: list[RecognisedPage] = []
    for frame in _frames(source, builder):
        if not recogniser.has_time():
            builder.add_note(f"only {len(pages)} images of the file were read: recognising the text of more takes too long")
            break
        pages.append(recognise(recogniser, lambda turn, frame=frame: _picture(frame, turn)))
    if not any(page.lines for page in pages):
        raise ParseError("no text was recognised in the image")
    builder.add_note(f"the text {NOTE}")
    layout.write([in_order(page.lines) for page in pages], [()] * len(pages), {}, builder)


def _frames(source: IO[bytes], builder: DocumentBuilder) -> Iterator[Image.Image]:
    Image.MAX_IMAGE_PIXELS = None  # pyright: ignore[reportAttributeAccessIssue] - checked here, with a reason for the user
    try:
        image = Image.open(source)
    except (UnidentifiedImageError, OSError) as error:
        raise ParseError("the image is damaged or of a kind that nothing here reads") from error
    builder.media_type = Image.MIME.get(image.format or "", "application/octet-stream")
    for number, frame in enumerate(ImageSequence.Iterator(image)):
        if number >= builder.limits.pages or frame.width * frame.height > MAX_PIXELS:
            raise ParseError(f"the image has more than {MAX_PIXELS // 1_000_000} million pixels, or too many frames")
        yield frame


def _picture(frame: Image.Image, turn: int) -> Picture:
    upright = ImageOps.exif_transpose(frame)
    if upright.mode in ("RGBA", "LA", "P", "PA"):
        upright = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)  # transparent means paper
    gray = upright.convert("L").rotate(-turn, expand=True)
    if gray.width < MIN_WIDTH:
        gray = gray.resize((ENLARGED * gray.width, ENLARGED * gray.height), Image.Resampling.LANCZOS)
    return Picture(gray.tobytes(), gray.width, gray.height, gray.width, USUAL_DPI)
