"""`stoa imagine`: a picture of what a prompt says, with a model loaded for the occasion or with a running server."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from server.cli.errors import print_error
from server.cli.imagine.preview import show
from server.cli.imagine.progress import Bar, progress_bar
from server.cli.imagine.terminal import Way, find_way
from server.core.errors import ApiError
from server.images.files import Format
from server.runtime.settings import Settings
from server.weights.cache import PullError

DEFAULT_MODEL = "digits"
SUFFIXES: dict[str, Format] = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}


@dataclass(frozen=True)
class ImagineCommand:
    """`image`: what is changed, where `mask` is transparent; None: a new picture is made. Of None, the model decides."""

    prompt: str
    output: Path | None  # None: it is only shown
    negative: str = ""
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    true_cfg: float | None = None
    image: Path | None = None
    mask: Path | None = None
    strength: float | None = None
    size: str | None = None  # WxH
    preview: bool = True

    @property
    def format(self) -> Format:
        return "png" if self.output is None else SUFFIXES[self.output.suffix.lower()]

    @property
    def fields(self) -> dict[str, Any]:
        """As /v1/images/edits has them, files apart."""
        return {
            "prompt": self.prompt,
            "negative_prompt": self.negative or None,
            "seed": self.seed,
            "steps": self.steps,
            "guidance_scale": self.guidance,
            "true_cfg_scale": self.true_cfg,
            "strength": self.strength,
            "size": self.size,
            "output_format": self.format,
        }


@dataclass(frozen=True)
class ImageServer:
    url: str
    model: str | None  # None: its own
    api_key: str  # "": none


@dataclass(frozen=True)
class Imagined:
    file: bytes
    seed: int
    size: str


class ImagineFailed(Exception):
    """The message is meant for the user."""


Imagine = Callable[[Bar], Awaitable[Imagined]]  # raises ImagineFailed, ApiError, OSError, httpx.HTTPError


def check(command: ImagineCommand, way: Way | None) -> None:
    """Raises ValueError for what does not go together. `way`: in which the terminal shows pictures."""
    if command.output is None and way is None:
        raise ValueError("-o, --output: say where the picture is to be written; here is no terminal that shows it")
    if command.output is not None and command.output.suffix.lower() not in SUFFIXES:
        raise ValueError(f"-o, --output {command.output}: its name must end with one of {', '.join(SUFFIXES)}")
    if command.image is None and (command.mask is not None or command.strength is not None):
        raise ValueError(f"--{'mask' if command.mask is not None else 'strength'}: it is about an image that is changed: add --image")


def run_imagine(command: ImagineCommand, settings: Settings | None, server: ImageServer) -> int:
    """Settings None: asks `server`. Returns the exit status: 1 if no picture was made, 2 if none could be tried, 130 if interrupted."""
    way = find_way() if command.preview else None
    try:
        check(command, way)
        made = asyncio.run(_run(command, settings, server))
        if command.output is not None:
            command.output.parent.mkdir(parents=True, exist_ok=True)
            command.output.write_bytes(made.file)
            print(f"{command.output}: {made.size}, seed {made.seed}")
        if way is not None:
            asyncio.run(show(made.file, way))
    except (ApiError, ImagineFailed) as error:
        print_error(error.message if isinstance(error, ApiError) else error)
        return 1
    except (ValueError, PullError, OSError, httpx.HTTPError) as error:
        print_error(error)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


async def _run(command: ImagineCommand, settings: Settings | None, server: ImageServer) -> Imagined:
    from server.cli.imagine.local import open_local
    from server.cli.imagine.remote import open_remote

    async with open_remote(command, server) if settings is None else open_local(command, settings) as imagine:
        with progress_bar(command.prompt) as bar:
            return await imagine(bar)
