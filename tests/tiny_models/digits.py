"""Trains a tiny DiT to paint digits, 8 x 8 pixels in 17 shades, on those that people wrote and scikit-learn ships (`load_digits`, 1,797
of them). Its pipeline lies in server/weights/tiny/digits; this makes it again:

    python -m tests.tiny_models.digits FOLDER

Flow matching (Lipman et al. 2022, arXiv 2210.02747) on the pixels themselves, so that there is no autoencoder; one label in ten is left
out, for classifier-free guidance (Ho & Salimans 2022, arXiv 2207.12598). The same seed gives the same training data; weights may differ
in their last digits between machines."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.transformers.dit_transformer_2d import DiTTransformer2DModel
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import Tensor, nn

SEED, ROWS, STEPS, RATE = 0, 64, 3000, 1e-3
SIDE, WHITE, LABELS = 8, 16, 10  # WHITE: the brightest shade
UNLABELLED, KEPT = 0.1, 0.995  # how much of the average of the weights each step keeps
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def real_digits() -> tuple[Tensor, Tensor]:
    """float32 [N, 1, 8, 8] in -1..1, and their labels."""
    data: Any = load_digits()
    return torch.tensor(data.images, dtype=torch.float32)[:, None] * 2 / WHITE - 1, torch.tensor(data.target)


def new_model() -> DiTTransformer2DModel:
    """Every layer adds nothing before it has learned (Peebles & Xie 2022, arXiv 2212.09748, section 3.2)."""
    model = DiTTransformer2DModel(
        num_attention_heads=4,
        attention_head_dim=24,
        num_layers=3,
        num_embeds_ada_norm=LABELS,
        in_channels=1,
        out_channels=1,
        sample_size=SIDE,
        patch_size=2,
    )
    blocks: Any = model.transformer_blocks
    for part in (model.proj_out_1, model.proj_out_2, *(block.norm1.linear for block in blocks)):
        nn.init.zeros_(part.weight)
        nn.init.zeros_(part.bias)
    return model.eval()  # in training it would leave out labels of each block by itself


def train() -> DiTTransformer2DModel:
    """The average of the weights along the way."""
    torch.manual_seed(SEED)
    model, (pictures, labels) = new_model(), real_digits()
    average = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.01)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 30) * (0.98 * 0.5 * (1 + math.cos(math.pi * step / STEPS)) + 0.02)
        loss = _loss(model, pictures, labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        for mean, parameter in zip(average, model.parameters(), strict=True):
            mean.lerp_(parameter.detach(), 1 - KEPT)
        if step % 500 == 0:
            print(f"step {step} of {STEPS}: loss {loss.item():.4f}", flush=True)
    for parameter, mean in zip(model.parameters(), average, strict=True):
        parameter.data.copy_(mean)
    return model


def _loss(model: DiTTransformer2DModel, pictures: Tensor, labels: Tensor) -> Tensor:
    """Of the velocity, from picture to noise; times in the middle are more frequent (Esser et al. 2024, arXiv 2403.03206, section 3.1)."""
    chosen = torch.randint(len(pictures), (ROWS,))
    clean, label = pictures[chosen], labels[chosen].masked_fill(torch.rand(ROWS) < UNLABELLED, LABELS)
    noise, sigma = torch.randn_like(clean), torch.randn(ROWS).sigmoid()[:, None, None, None]
    found: Any = model((1 - sigma) * clean + sigma * noise, timestep=1000 * sigma.flatten(), class_labels=label, return_dict=False)
    return F.mse_loss(found[0], noise - clean)


def save(model: DiTTransformer2DModel, folder: Path) -> None:
    (folder / "transformer").mkdir(parents=True, exist_ok=True)
    tensors = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, folder / "transformer" / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
    model.save_config(folder / "transformer")
    FlowMatchEulerDiscreteScheduler().save_pretrained(folder / "scheduler")
    index = {
        "_class_name": "DiTPipeline",
        "id2label": {str(number): f"{name}, {number}" for number, name in enumerate(NAMES)},
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "transformer": ["diffusers", "DiTTransformer2DModel"],
        "vae": [None, None],
    }
    usual = {"guidance_scale": 2.0, "num_inference_steps": 20}
    for name, said in (("model_index.json", index), ("generation_config.json", usual)):
        (folder / name).write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    save(train(), Path(sys.argv[1]))
