"""Shows a picture in the terminal, by the protocols of kitty and iTerm2, as sixels (DEC STD 070), or as characters, of which each is two
pixels: one above the other."""

import base64
import io
import sys
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Resampling
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

from retrieval.images.decoder import ImageDecoder
from server.cli.imagine.terminal import Way

SMALL, LARGE = 192, 512  # pixels of a side: what is smaller is enlarged, what is larger made smaller
FEW, MANY = 16, 64  # the same of characters
CHUNK = 4096  # bytes of an escape sequence of kitty
COLORS = 128  # of a picture in sixels


async def show(file: bytes, way: Way) -> None:
    """Raises ImageError for what is no image. It is decoded in a sandbox: it may come from a server."""
    decoder = ImageDecoder(workers=1)
    try:
        image = Image.fromarray(await decoder.decode(file))
    finally:
        decoder.close()
    if way == "blocks":
        console = Console()
        console.print(to_blocks(resized(image, FEW, min(MANY, console.width))))
    else:
        sys.stdout.write(f"{_drawn(resized(image, SMALL, LARGE), way)}\n")
        sys.stdout.flush()


def resized(image: Image.Image, least: int, most: int) -> Image.Image:
    """Small ones by a whole number, so that each pixel stays a square."""
    side = max(image.size)
    if side < least:
        factor = -(-least // side)
        return image.resize((image.width * factor, image.height * factor), Resampling.NEAREST)
    scale = min(1.0, most / side)
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), Resampling.LANCZOS)


def to_blocks(image: Image.Image) -> Text:
    """In as many colours as the terminal has, where it is printed."""
    pixels = np.asarray(image)
    if len(pixels) % 2:
        pixels = np.concatenate([pixels, pixels[-1:]])
    text = Text(no_wrap=True, end="")
    for above, below in zip(pixels[::2], pixels[1::2], strict=True):
        for top, bottom in zip(above, below, strict=True):
            text.append("▀", Style(color=Color.from_rgb(*top), bgcolor=Color.from_rgb(*bottom)))
        text.append("\n")
    return text


def to_kitty(image: Image.Image) -> str:
    data = _png(image)
    parts = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    heads = ["a=T,f=100,q=2,"] + [""] * (len(parts) - 1)
    more = [1] * (len(parts) - 1) + [0]
    return "".join(f"\x1b_G{head}m={m};{part}\x1b\\" for head, m, part in zip(heads, more, parts, strict=True))


def to_iterm2(image: Image.Image) -> str:
    data = _png(image)
    return f"\x1b]1337;File=inline=1;width={image.width}px;height={image.height}px:{data}\a"


def to_sixel(image: Image.Image) -> str:
    reduced = image.convert("RGB").quantize(COLORS)
    colors, pixels = np.array(reduced.getpalette()).reshape(-1, 3), np.asarray(reduced)
    names = "".join(f"#{i};2;{';'.join(str(round(int(part) / 2.55)) for part in colors[i])}" for i in np.unique(pixels))
    bands = "-".join("$".join(_band(pixels[top : top + 6])) for top in range(0, len(pixels), 6))
    return f'\x1bPq"1;1;{image.width};{image.height}{names}{bands}\x1b\\'


def _band(pixels: NDArray[np.uint8]) -> Iterator[str]:
    """Of six lines, for each colour: in which of them it is, column by column."""
    bits = 1 << np.arange(len(pixels))[:, None]
    for color in np.unique(pixels):
        columns = ((pixels == color) * bits).sum(0)
        edges = [0, *(np.flatnonzero(np.diff(columns)) + 1).tolist(), len(columns)]
        runs = ((chr(63 + int(columns[a])), b - a) for a, b in pairwise(edges))
        yield f"#{color}" + "".join(f"!{count}{sign}" if count > 3 else sign * count for sign, count in runs)


def _drawn(image: Image.Image, way: Way) -> str:
    match way:
        case "kitty":
            return to_kitty(image)
        case "iterm2":
            return to_iterm2(image)
        case _:
            return to_sixel(image)


def _png(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
