"""What vectors of images cost on the embedded encoder, with random weights in the shape of CLIP ViT-B/32's encoder, against transformers on
the same threads, in turns.

python -m bench.images --json results.json     needs transformers; half a minute
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import CLIPConfig, CLIPModel

from bench.report import tell
from engine.api import Pixels
from engine.embedded.encoder.engine import EmbeddedEncoder
from engine.embedded.encoder.load import EncoderOptions, load_encoder
from engine.embedded.load import cores

IMAGES, SIDE = 64, 224
FORMS: tuple[Literal["int8", "bfloat16", "float32"], ...] = ("int8", "bfloat16", "float32")
Row = dict[str, str | float]


def run(rounds: int, threads: int) -> list[Row]:
    torch.manual_seed(0)
    theirs = CLIPModel(CLIPConfig(text_config={"num_hidden_layers": 1}, vision_config={}, projection_dim=512)).eval()
    images = np.random.default_rng(0).standard_normal((IMAGES, 3, SIDE, SIDE), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        return [asyncio.run(_row(Path(folder), theirs, images, form, rounds, threads)) for form in FORMS]


async def _row(folder: Path, theirs: Any, images: NDArray[np.float32], form: Any, rounds: int, threads: int) -> Row:
    encoder = EmbeddedEncoder(load_encoder(folder, EncoderOptions(dtype=form, threads=threads)))
    batch = [Pixels(image) for image in images]
    vectors, want = await encoder.embed(batch), _of_theirs(theirs, images)
    ours, others = list[float](), list[float]()
    for _ in range(rounds):
        began = time.perf_counter()
        await encoder.embed(batch)
        ours.append(time.perf_counter() - began)
        torch.set_num_threads(threads)
        began = time.perf_counter()
        _of_theirs(theirs, images)
        others.append(time.perf_counter() - began)
    await encoder.close()
    return {
        "numbers": form,
        "ours, images/s": round(IMAGES / median(ours), 1),
        "transformers, images/s": round(IMAGES / median(others), 1),
        "times as fast": round(median(others) / median(ours), 2),
        "least cosine": round(float((vectors * want).sum(1).min()), 5),
    }


@torch.no_grad()
def _of_theirs(model: Any, images: NDArray[np.float32]) -> NDArray[np.float32]:
    pooled = model.vision_model(pixel_values=torch.from_numpy(images)).pooler_output
    return torch.nn.functional.normalize(model.visual_projection(pooled), dim=-1).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.images")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=cores())
    given = parser.parse_args()
    rows = run(given.rounds, given.threads)
    tell(rows, f"python -m bench.images --rounds {given.rounds} --threads {given.threads}", given.json)


if __name__ == "__main__":
    main()
