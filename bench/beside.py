"""What a chat that is being written feels of other work on the same server: p99 of the seconds between its tokens while nothing else is
asked, while recordings of a minute are written down, and while pictures are made; each as a ratio to the calm before it, in turns.

python -m bench.beside --json results.json     some minutes
"""

import argparse
import asyncio
import tempfile
import wave
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

import httpx
import numpy as np

from bench.load import complete
from bench.report import tell
from bench.servers import Running, start, stoa
from server.speech.api import RATE
from server.speech.decoding.decoder import SandboxDecoder
from server.weights.pull import pull

SPEECH = Path(__file__).parents[1] / "tests" / "data" / "speech" / "sentences.ogg"
SECONDS, TOKENS = 60, 300
Row = dict[str, str | float]
Work = Callable[[httpx.AsyncClient], Awaitable[None]]


async def run(rounds: int, image_model: str) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        recording = await minute(Path(folder))
        arguments = ["--transcription-model", "whisper-tiny", "--image-model", image_model]
        running = await start(stoa(pull("smollm2"), arguments), Path(folder) / "log")
        try:
            works: dict[str, Work] = {
                "recordings are written down": lambda client: transcribe(client, recording),
                "pictures are made": imagine,
            }
            return [await _row(running, name, work, rounds) for name, work in works.items()]
        finally:
            running.stop()


async def minute(folder: Path) -> bytes:
    """A WAV file of speech."""
    async with SandboxDecoder().decode(SPEECH) as recording:
        once = recording.read(0, recording.samples)
    samples = np.tile(once, -(-SECONDS * RATE // len(once)))[: SECONDS * RATE]
    with wave.open(str(path := folder / "minute.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path.read_bytes()


async def transcribe(client: httpx.AsyncClient, recording: bytes) -> None:
    given = {"file": ("minute.wav", recording, "audio/wav")}
    (await client.post("/v1/audio/transcriptions", files=given, data={"model": "whisper-tiny"})).raise_for_status()


async def imagine(client: httpx.AsyncClient) -> None:
    (await client.post("/v1/images/generations", json={"prompt": "seven", "n": 4, "response_format": "b64_json"})).raise_for_status()


async def _row(running: Running, name: str, work: Work, rounds: int) -> Row:
    calm, beside = list[float](), list[float]()
    async with httpx.AsyncClient(base_url=running.url, timeout=600) as client:
        await work(client)
        for _ in range(rounds):
            calm.append(await _p99(running))
            asking = asyncio.create_task(_again_and_again(client, work))
            beside.append(await _p99(running))
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
    return {
        "while": name,
        "p99 calm, ms": round(1000 * median(calm), 1),
        "p99 then, ms": round(1000 * median(beside), 1),
        "times calm": round(median(b / c for b, c in zip(beside, calm, strict=True)), 2),
    }


async def _p99(running: Running) -> float:
    """Of the seconds between the tokens of one answer."""
    reply = await complete(running.url, running.body("Once upon a time there was", TOKENS))
    return float(np.quantile(reply.gaps, 0.99))


async def _again_and_again(client: httpx.AsyncClient, work: Work) -> None:
    while True:
        await work(client)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--image-model", default="digits")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = asyncio.run(run(options.rounds, options.image_model))
    tell(rows, f"python -m bench.beside --rounds {options.rounds}", options.json)


if __name__ == "__main__":
    main()
