"""What a step of pictures costs: the UNet of Stable Diffusion 1.5 with random weights, pictures of 256 x 256 pixels, each guided (two rows
of a batch), against diffusers on the same threads, in turns; and four requests at once against one.

python -m bench.denoisers --json results.json     needs diffusers and 9 GB; some minutes
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from bench.report import tell
from engine.embedded.encoder.on_torch import TorchEncoderBackend
from engine.embedded.images.packed import pack_convolutions
from engine.embedded.load import cores
from models.diffusion.build import build_unet, fill_named
from models.families.diffusion import unet_of

SIDE, TOKENS, COLUMNS, AT_ONCE = 32, 77, 768, 4  # SIDE: of the latents
SHAPE: dict[str, Any] = {"sample_size": 64, "cross_attention_dim": COLUMNS, "attention_head_dim": 8}  # what is not diffusers' default
Row = dict[str, str | float]
Step = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


@torch.inference_mode()
def run(rounds: int, threads: int) -> list[Row]:
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    theirs: Any = UNet2DConditionModel(**SHAPE).eval()
    spec, rule = unet_of({"_class_name": "UNet2DConditionModel", **SHAPE}, "unet/config.json")
    ours = build_unet(spec, TorchEncoderBackend(torch.device("cpu"), torch.float32)).eval()
    fill_named(ours, rule, theirs.state_dict())
    pack_convolutions(ours)
    return [_row(ours, lambda x, times, text: theirs(x, times, text).sample, pictures, rounds) for pictures in (1, AT_ONCE)]


def _row(ours: Step, theirs: Step, pictures: int, rounds: int) -> Row:
    rows = 2 * pictures
    given = torch.randn(rows, 4, SIDE, SIDE), torch.full((rows,), 500.0), torch.randn(rows, TOKENS, COLUMNS)
    apart = float((ours(*given) - theirs(*given)).abs().max())
    times = [(_seconds(ours, given), _seconds(theirs, given)) for _ in range(rounds)]
    mine, others = (median(column) for column in zip(*times, strict=True))
    return {
        "pictures at once": pictures,
        "ours, s a step": round(mine, 2),
        "diffusers, s a step": round(others, 2),
        "times as fast": round(others / mine, 2),
        "ours, pictures' steps/s": round(pictures / mine, 3),
        "largest difference": f"{apart:.1e}",
    }


def _seconds(step: Step, given: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> float:
    began = time.perf_counter()
    step(*given)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.denoisers")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=cores())
    given = parser.parse_args()
    rows = run(given.rounds, given.threads)
    tell(rows, f"python -m bench.denoisers --rounds {given.rounds} --threads {given.threads}", given.json)


if __name__ == "__main__":
    main()
