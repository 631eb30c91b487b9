"""Trains a tiny CLIP on pictures of one coloured shape each: `a photo of a red circle`. Its checkpoint lies in
server/weights/tiny/colored-shapes; this makes it again:

    python -m tests.tiny_models.colored_shapes FOLDER

The same seed and number of steps give the same training data; weights may differ in their last digits between machines. Pictures are
drawn anew for every step, so that none of a test has been seen before."""

import json
import math
import random
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from transformers import CLIPConfig, CLIPModel

SEED, STEPS, RATE = 0, 1500, 1e-3
COLORS = {
    "red": (220, 40, 40),
    "green": (40, 180, 60),
    "blue": (50, 70, 230),
    "yellow": (235, 220, 50),
    "white": (240, 240, 240),
    "purple": (150, 50, 180),
}
SHAPES = ["circle", "square", "triangle", "cross"]
KINDS = [(color, shape) for color in COLORS for shape in SHAPES]
WORDS = ["<pad>", "<s>", "<unk>", "a", "photo", "of", *COLORS, *SHAPES, "</s>"]
NUMBER = {word: i for i, word in enumerate(WORDS)}
SIDE, PATCH, WIDTH, LENGTH = 32, 8, 48, 16


def caption(color: str, shape: str) -> str:
    return f"a photo of a {color} {shape}"


def draw(color: str, shape: str, rnd: random.Random) -> Image.Image:
    """One shape on a dark ground, each time at another place, in another size and shade."""
    image = Image.new("RGB", (SIDE, SIDE), tuple(rnd.randint(0, 40) for _ in range(3)))
    x, y, r = rnd.randint(10, 22), rnd.randint(10, 22), rnd.randint(5, 9)
    shade = tuple(max(0, min(255, value + rnd.randint(-20, 20))) for value in COLORS[color])
    pen, whole = ImageDraw.Draw(image), (x - r, y - r, x + r, y + r)
    match shape:
        case "circle":
            pen.ellipse(whole, fill=shade)
        case "square":
            pen.rectangle(whole, fill=shade)
        case "triangle":
            pen.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=shade)
        case _:
            bar = max(1, r // 3)
            pen.rectangle((x - r, y - bar, x + r, y + bar), fill=shade)
            pen.rectangle((x - bar, y - r, x + bar, y + r), fill=shade)
    return image


def tokenizer() -> Tokenizer:
    """A token for each word, between the two that CLIP puts around a text."""
    made = Tokenizer(models.WordLevel(NUMBER, unk_token="<unk>"))
    made.add_special_tokens(["<pad>", "<s>", "<unk>", "</s>"])
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("<s>", NUMBER["<s>"]), ("</s>", NUMBER["</s>"])]
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    return made


def model() -> CLIPModel:
    size = {"hidden_size": 96, "intermediate_size": 192, "num_attention_heads": 4, "projection_dim": WIDTH}
    marks = {"pad_token_id": NUMBER["<pad>"], "bos_token_id": NUMBER["<s>"], "eos_token_id": NUMBER["</s>"]}
    text = {"vocab_size": len(WORDS), "num_hidden_layers": 2, "max_position_embeddings": LENGTH, **size, **marks}
    vision = {"num_hidden_layers": 3, "image_size": SIDE, "patch_size": PATCH, **size}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=WIDTH))


def pixels(image: Image.Image) -> Tensor:
    return (torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255 - 0.5) / 0.5


def train() -> CLIPModel:
    """Every step: each of the kinds once, told from all others."""
    torch.manual_seed(SEED)
    learner, rnd, words = model(), random.Random(SEED), tokenizer()
    texts = torch.tensor([words.encode(caption(*kind)).ids for kind in KINDS])
    optimizer = torch.optim.AdamW(learner.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.01)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 30) * (0.98 * 0.5 * (1 + math.cos(math.pi * step / STEPS)) + 0.02)
        images = torch.stack([pixels(draw(*kind, rnd)) for kind in KINDS])
        loss = learner(input_ids=texts, pixel_values=images, return_loss=True).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step} of {STEPS}: loss {loss.item():.4f}", flush=True)
    return learner.eval()


PREPROCESSOR = {
    "image_processor_type": "CLIPImageProcessor",
    "do_convert_rgb": True,
    "do_resize": True,
    "size": {"shortest_edge": SIDE},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": SIDE, "width": SIDE},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


def save(learner: CLIPModel, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    learner.half().save_pretrained(folder)
    tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=2) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    save(train(), Path(sys.argv[1]))
