"""`stoa imagine`: what is written and shown, what is refused, and how it ends. A server with a fake model answers, or the tiny one here."""

import base64
import io
import logging
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from server.cli.imagine.command import ImageServer, ImagineCommand, check, run_imagine
from server.cli.imagine.preview import resized, to_blocks, to_iterm2, to_kitty, to_sixel
from server.cli.imagine.terminal import way_of
from server.runtime.settings import Settings
from tests.server.fake_images import FakeImageEngine, images
from tests.server.fakes import FakeEngine, ready, says, text
from tests.server.web import serving

TEXT = text()
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Its server is in this process, where handlers of other tests may be left that would write of its requests to standard error."""
    app, _ = ready(FakeEngine(says("Hi.", TEXT)), TEXT, parts={"images": images(FakeImageEngine())})
    logging.disable()
    try:
        with serving(app) as found:
            yield found
    finally:
        logging.disable(logging.NOTSET)


def imagine(output: Path | None, prompt: str = "a dog", url: str = "", **fields: Any) -> int:
    command = ImagineCommand(prompt, output, preview=False, **fields)
    return run_imagine(command, None if url else Settings(threads=1), ImageServer(url, None, ""))


def pixels(file: Path) -> Any:
    with Image.open(file) as image:
        return np.asarray(image)


@pytest.mark.parametrize(("name", "form"), [("dog.png", "PNG"), ("dog.JPG", "JPEG"), ("dog.webp", "WEBP")])
def test_a_server_makes_it(url: str, tmp_path: Path, name: str, form: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert imagine(tmp_path / name, url=url, seed=7) == 0
    with Image.open(tmp_path / name) as image:
        assert image.format == form and image.size == (6, 4)
    assert capfd.readouterr().out == f"{tmp_path / name}: 6x4, seed 7\n"


def test_a_server_changes_it(url: str, tmp_path: Path) -> None:
    alpha = np.full((4, 6), 255, np.uint8)
    alpha[:, 3:] = 0
    before, mask, after = tmp_path / "in.png", tmp_path / "mask.png", tmp_path / "out.png"
    Image.new("RGB", (6, 4), (200, 200, 200)).save(before)
    changed = Image.new("RGB", (6, 4))
    changed.putalpha(Image.fromarray(alpha))
    changed.save(mask)
    assert imagine(after, url=url, image=before, mask=mask) == 0
    assert (pixels(after)[:, :3] == 200).all() and (pixels(after)[:, 3:] != 200).any()


def test_refusals_of_a_server(url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert imagine(tmp_path / "a.png", "a horse", url) == 1
    assert "names none" in capfd.readouterr().err and not (tmp_path / "a.png").exists()
    assert imagine(tmp_path / "a.png", url="http://127.0.0.1:9") == 2


def test_the_tiny_model_makes_it_here(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    assert imagine(one, "a digit seven", seed=3) == 0
    assert imagine(two, "7", seed=3, image=one, strength=0.5) == 0
    assert pixels(one).shape == (8, 8) and one.read_bytes() != two.read_bytes()
    assert imagine(one, "a horse") == 1 and "zero, one, two" in capfd.readouterr().err
    assert imagine(one, "7", image=tmp_path / "gone.png") == 2


def test_what_does_not_go_together() -> None:
    one = Path("a.png")
    for command, told in (
        (ImagineCommand("7", None), "--output"),
        (ImagineCommand("7", Path("a.gif")), ".webp"),
        (ImagineCommand("7", one, mask=one), "--mask"),
        (ImagineCommand("7", one, strength=0.5), "--strength"),
    ):
        with pytest.raises(ValueError, match=re.escape(told)):
            check(command, None)
    check(ImagineCommand("7", None), "blocks")


@pytest.mark.parametrize(
    ("answer", "way"),
    [
        (b"", "blocks"),
        (b"\x1b[?62;c", "blocks"),
        (b"\x1b[?4;6c", "blocks"),  # the first number is the terminal's kind
        (b"\x1b[?62;4;22c", "sixel"),
        (b"\x1b[?62;22;44c", "blocks"),
        (b"\x1bP>|iTerm2 3.5.0\x1b\\\x1b[?62;4c", "iterm2"),
        (b"\x1b_Gi=31;OK\x1b\\\x1bP>|kitty(0.36)\x1b\\\x1b[?62;c", "kitty"),
        (b"\x1b_Gi=31;ENOTSUP\x1b\\\x1b[?62;4c", "sixel"),
    ],
)
def test_what_a_terminal_says_that_it_can_do(answer: bytes, way: str) -> None:
    assert way_of(answer) == way


def picture(width: int, height: int) -> Image.Image:
    return Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_small_pictures_are_enlarged_in_squares() -> None:
    small = picture(3, 2)
    large = resized(small, 16, 64)
    assert large.size == (18, 12) and (np.asarray(large)[::6, ::6] == np.asarray(small)).all()
    assert resized(picture(40, 20), 16, 64).size == (40, 20) and resized(picture(640, 320), 16, 64).size == (64, 32)


def test_characters_are_two_pixels_each() -> None:
    image = picture(4, 3)
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=80)
    console.print(to_blocks(image), end="")
    printed = console.file.getvalue().splitlines()  # pyright: ignore[reportAttributeAccessIssue]
    found = [re.findall(r"38;2;(\d+);(\d+);(\d+);48;2;(\d+);(\d+);(\d+)m▀", line) for line in printed]
    pixels = np.asarray(image)
    assert (np.array(found, int)[:, :, :3] == pixels[[0, 2]]).all() and (np.array(found, int)[:, :, 3:] == pixels[[1, 2]]).all()


def test_sequences_of_kitty_and_iterm2_hold_the_picture() -> None:
    image = picture(80, 60)
    parts = re.findall(r"\x1b_G(?:a=T,f=100,q=2,)?m=([01]);([^\x1b]*)\x1b\\", to_kitty(image))
    assert len(parts) > 1 and [more for more, _ in parts] == ["1"] * (len(parts) - 1) + ["0"]
    data = re.fullmatch(r"\x1b\]1337;File=inline=1;width=80px;height=60px:(.*)\a", to_iterm2(image))
    for encoded in ("".join(part for _, part in parts), data[1] if data else ""):
        assert (np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded)))) == np.asarray(image)).all()


def test_sixels_hold_the_picture() -> None:
    """Of few colours, in the hundredths that sixels have."""
    pixels = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [51, 102, 204]], np.uint8)[RNG.integers(0, 4, (9, 23))]
    assert (drawn(to_sixel(Image.fromarray(pixels)), 23, 9) == pixels).all()


def drawn(sixel: str, width: int, height: int) -> Any:
    colors, shades, color, x, top = dict[str, list[int]](), np.zeros((height, width, 3), int), "", 0, 0
    for name, parts, count, sign in re.findall(r"#(\d+)(?:;2;(\d+;\d+;\d+))?|(?:!(\d+))?([?-~$-])", sixel.partition('"1;1;23;9')[2][:-2]):
        if parts:
            colors[name] = [round(int(part) * 2.55) for part in parts.split(";")]
        elif name:
            color = name
        elif sign in "$-":
            x, top = 0, top + 6 * (sign == "-")
        else:
            end = x + int(count or 1)
            for row in (row for row in range(6) if (ord(sign) - 63) >> row & 1):
                shades[top + row, x:end] = colors[color]
            x = end
    return shades


@pytest.mark.parametrize(("says", "begins"), [(b"\x1b_Gi=31;OK\x1b\\\x1b[?62;c", b"\x1b_Ga=T"), (b"\x1b[?62;4c", b"\x1bPq")])
def test_a_terminal_is_asked_and_shown_the_picture(url: str, says: bytes, begins: bytes) -> None:
    """A terminal of our own, that answers as some do."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "server.cli", "imagine", "a dog", "--url", url]
    environment = {**os.environ, "TERM": "xterm-256color", "NO_COLOR": ""}
    found = bytearray()

    def answer() -> None:
        asked = False
        while True:
            try:
                found.extend(os.read(ours, 65536))
            except OSError:  # it has ended
                return
            if not asked and b"\x1b[c" in found:
                asked = True
                os.write(ours, says)

    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True) as process:
        os.close(theirs)
        reading = threading.Thread(target=answer)
        reading.start()
        assert process.wait(120) == 0
        reading.join()
    os.close(ours)
    assert begins in found
