"""Images of documents: the text that is recognised in them. Several frames, as of a TIFF from a scanner, are pages."""

from collections.abc import Iterator
from typing import IO

from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.picture_files import MAX_PIXELS as PICTURE_PIXELS
from retrieval.parse.common.picture_files import MIN_SIDE, on_paper
from retrieval.parse.limits import ParseError
from retrieval.parse.pdf import layout
from retrieval.parse.pdf.ocr.page import RecognisedPage, recognise
from retrieval.parse.pdf.ocr.tesseract import MISSING, NOTE, Picture, open_recogniser
from retrieval.parse.pdf.scans import MIN_PAPER, PAPER
from retrieval.parse.pdf.tables.arrange import in_order

MAX_PIXELS = 80_000_000
MIN_WIDTH = 1500  # pixels: smaller images are enlarged, so that letters are as high as the models know them
ENLARGED, USUAL_DPI = 2, 200
PREVIEW = 256  # pixels of a side


def read(source: IO[bytes], builder: DocumentBuilder) -> None:
    """What it shows, where pictures are wanted, and the text in it; in one that is no paper there is hardly any."""
    if builder.limits.pictures:
        builder.add_picture(source.read())
        source.seek(0)
    if not builder.pictures or _is_paper(source):
        _recognise(source, builder)


def _is_paper(source: IO[bytes]) -> bool:
    with Image.open(source) as image:
        seen = on_paper(image).convert("L")
    seen.thumbnail((PREVIEW, PREVIEW))
    source.seek(0)
    return sum(seen.histogram()[PAPER:]) >= MIN_PAPER * seen.width * seen.height


def _unseen(builder: DocumentBuilder) -> str:
    if builder.limits.pictures:
        return f"it is damaged as a picture, smaller than {MIN_SIDE} pixels a side, or has more than {PICTURE_PIXELS // 1_000_000} million"
    found = "set --image-embedding-model (STOA_IMAGE_EMBEDDING_MODEL) to a CLIP or SigLIP to find it by that"
    return f"no model here sees what it shows: {found}"


def _recognise(source: IO[bytes], builder: DocumentBuilder) -> None:
    recogniser = open_recogniser(builder.limits)
    if recogniser is None:
        if builder.pictures:
            return
        raise ParseError(f"the file is an image, and {_unseen(builder)}; {MISSING}", "unsupported_file")
    pages: list[RecognisedPage] = []
    for frame in _frames(source, builder):
        if not recogniser.has_time():
            builder.add_note(f"only {len(pages)} images of the file were read: recognising the text of more takes too long")
            break
        pages.append(recognise(recogniser, lambda turn, frame=frame: _picture(frame, turn)))
    if not any(page.lines for page in pages):
        if builder.pictures:
            return
        raise ParseError(f"no text was recognised in the image, and {_unseen(builder)}")
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
