"""What an image costs that stands in a prompt, on the embedded engine, with random weights in SmolVLM-256M's shape (SigLIP B/16 at 512
pixels, 64 rows a tile): the first token where the image is new, where the same is asked about again and where another prompt shows it;
transformers on the same threads; and what an image that is being read does to a text that is being written.

python -m bench.vision_language --json results.json     needs transformers; a minute or two
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from transformers import SmolVLMConfig, SmolVLMForConditionalGeneration

from bench.report import tell
from engine.api import ImageTiles, PlacedImage, Request, Sampling
from engine.embedded.engine import EmbeddedEngine
from engine.embedded.load import LoadOptions, cores, load_model
from engine.embedded.scheduler import Limits

MARKER, VOCAB = 49190, 49280
TEXT: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": VOCAB,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
}
VISION: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 512,
    "patch_size": 16,
}
LIMITS = Limits(max_running=16, max_waiting=64, max_step_tokens=512, mixed_step_tokens=64)
Row = dict[str, str | float]


def run(rounds: int, threads: int) -> list[Row]:
    torch.manual_seed(0)
    config = SmolVLMConfig(text_config=TEXT, vision_config=VISION, scale_factor=4, image_token_id=MARKER)
    theirs: Any = SmolVLMForConditionalGeneration(config)
    theirs.to(torch.bfloat16).eval()
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        return asyncio.run(_rows(Path(folder), theirs, rounds, threads))


async def _rows(folder: Path, theirs: Any, rounds: int, threads: int) -> list[Row]:
    engine = EmbeddedEngine(load_model(folder, LoadOptions(kv_memory=1 << 28, threads=threads, limits=LIMITS, context=4096)))
    random, new, again, elsewhere, others = np.random.default_rng(0), list[float](), list[float](), list[float](), list[float]()
    await _first(engine, _asked(engine, _image(random)))
    for _ in range(rounds):
        image = _image(random)
        new.append(await _first(engine, _asked(engine, image)))
        again.append(await _first(engine, _asked(engine, image)))
        elsewhere.append(await _first(engine, _asked(engine, image, before=(5, 6, 7))))
        others.append(_their_first(theirs, _asked(engine, image), threads))
    calm, beside = await _writing(engine, None), await _writing(engine, random)
    await engine.close()
    first = median(new)
    return [
        _row("first token, a new image", first, first),
        _row("the same of transformers, bf16", median(others), first),
        _row("the same prompt again", median(again), first),
        _row("the image in another prompt", median(elsewhere), first),
        _row("p99 between tokens of a text, calm", calm, calm),
        _row("beside images that are read", beside, calm),
    ]


def _row(what: str, seconds: float, base: float) -> Row:
    return {"what": what, "ms": round(1000 * seconds, 1), "times the first": round(seconds / base, 2)}


def _image(random: np.random.Generator) -> ImageTiles:
    return ImageTiles(random.standard_normal((1, 3, 512, 512), np.float32))


def _asked(engine: EmbeddedEngine, image: ImageTiles, before: Sequence[int] = (5, 6), most: int = 1) -> Request:
    vision = engine.info.vision
    assert vision is not None
    rows = vision.rows_of(image)
    tokens = (*before, *[MARKER] * rows, *range(10, 40))
    placed = PlacedImage(image=image, at=len(before), rows=rows)
    return Request(tokens=tokens, images=(placed,), sampling=Sampling(max_tokens=most, temperature=0))


async def _first(engine: EmbeddedEngine, request: Request) -> float:
    began = time.perf_counter()
    async for _ in engine.generate(request):
        pass
    return time.perf_counter() - began


@torch.no_grad()
def _their_first(theirs: Any, request: Request, threads: int) -> float:
    torch.set_num_threads(threads)
    pixels = torch.from_numpy(request.images[0].image.values)[None].to(torch.bfloat16)
    began = time.perf_counter()
    theirs(input_ids=torch.tensor([request.tokens]), pixel_values=pixels, logits_to_keep=1)
    return time.perf_counter() - began


async def _writing(engine: EmbeddedEngine, random: np.random.Generator | None) -> float:
    """p99 of the seconds between the tokens of a text, while one new image after another is asked about, where `random` is given."""
    gaps, last = list[float](), None
    asking = asyncio.create_task(_asking(engine, random)) if random is not None else None
    async for _ in engine.generate(Request(tokens=tuple(range(100, 300)), sampling=Sampling(max_tokens=256, temperature=0))):
        now = time.perf_counter()
        gaps += [] if last is None else [now - last]
        last = now
    if asking is not None:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    return float(np.quantile(gaps, 0.99))


async def _asking(engine: EmbeddedEngine, random: np.random.Generator) -> None:
    while True:
        await _first(engine, _asked(engine, _image(random)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.vision_language")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=cores())
    given = parser.parse_args()
    rows = run(given.rounds, given.threads)
    tell(rows, f"python -m bench.vision_language --rounds {given.rounds} --threads {given.threads}", given.json)


if __name__ == "__main__":
    main()
