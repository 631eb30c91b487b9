"""Trains a tiny LLaVA to answer questions about pictures of one or two coloured shapes: `What color is the object?` Its checkpoint is
server/weights/tiny/picture-questions, its tower begins as that of the CLIP beside it; this makes it again:

    python -m tests.tiny_models.picture_questions FOLDER

The same seed and number of steps give the same training data; weights may differ in their last digits between machines. Pictures are
drawn anew for every step, so that none of a test has been seen before."""

import json
import math
import random
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from torch import Tensor
from transformers import CLIPModel, CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from tests.tiny_models.colored_shapes import COLORS, PATCH, PREPROCESSOR, SHAPES, SIDE, pixels

SEED, ROWS = 0, 32
TOWER = Path(__file__).parents[2] / "server" / "weights" / "tiny" / "colored-shapes"
ROUNDS = ((5000, 1e-3, 0.25), (2500, 7e-4, 0.1), (2000, 4e-4, 0.05))  # steps, rate, and how many dialogues are about two pictures
PLACES = (SIDE // PATCH) ** 2  # tokens of an image
ENLARGED = 4
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<image>", "<|user|>", "<|assistant|>"]
PAD, BEGIN, END, UNKNOWN, IMAGE, USER, ASSISTANT = range(len(SPECIAL))
TEXT = "what color colour shape is the object objects left right one two how many are there this on in first second image picture a ?"
WORDS = [*TEXT.split(), *COLORS, *SHAPES]
ENTRIES = [*SPECIAL, *WORDS, *(f"Ġ{word}" for word in WORDS)]  # a word as it begins a text, and behind a space
NUMBER = {entry: i for i, entry in enumerate(ENTRIES)}
TEMPLATE = """{{ bos_token }}{% for message in messages %}\
{% if message.role not in ['user', 'assistant'] %}{{ raise_exception('only the user and the assistant speak') }}{% endif %}\
{{ '<|' + message.role + '|>' }}\
{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}\
{% if part.type == 'image' %}{{ '<image>' }}{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}\
{% if message.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}\
{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"""


@dataclass(frozen=True)
class Thing:
    color: str
    shape: str
    x: int
    y: int
    radius: int


@dataclass(frozen=True)
class Question:
    text: str
    answer: str
    kind: str  # "color", "shape", "count" or "name"


def scene(rnd: random.Random, count: int) -> list[Thing]:
    """Of two things the first one is the left one."""
    centers = (8, 24) if count == 2 else (rnd.randint(8, 24),)
    return [_thing(rnd, x + rnd.randint(-2, 2) if count == 2 else x) for x in centers]


def _thing(rnd: random.Random, x: int) -> Thing:
    return Thing(rnd.choice(list(COLORS)), rnd.choice(SHAPES), x, rnd.randint(8, 24), rnd.randint(4, 6))


def draw(things: list[Thing], rnd: random.Random, scale: int = 1) -> Image.Image:
    """On a dark ground, `SIDE` times `scale` pixels a side."""
    image = Image.new("RGB", (SIDE * scale, SIDE * scale), tuple(rnd.randint(0, 40) for _ in range(3)))
    for thing in things:
        shade = tuple(max(0, min(255, value + rnd.randint(-20, 20))) for value in COLORS[thing.color])
        _put(ImageDraw.Draw(image), thing.shape, thing.x * scale, thing.y * scale, thing.radius * scale, shade)
    return image


def _put(pen: ImageDraw.ImageDraw, shape: str, x: int, y: int, r: int, shade: tuple[int, ...]) -> None:
    match shape:
        case "circle":
            pen.ellipse((x - r, y - r, x + r, y + r), fill=shade)
        case "square":
            pen.rectangle((x - r, y - r, x + r, y + r), fill=shade)
        case "triangle":
            pen.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=shade)
        case _:
            bar = max(1, r // 3)
            pen.rectangle((x - r, y - bar, x + r, y + bar), fill=shade)
            pen.rectangle((x - bar, y - r, x + bar, y + r), fill=shade)


def questions(things: list[Thing], rnd: random.Random, where: str = "") -> list[Question]:
    """About a picture. `where`: which one, if there are several."""
    color, picture = rnd.choice(["color", "colour"]), where and f" in {where}"
    counts = ["how many are there?", "how many objects are there?"]
    asked = [Question(rnd.choice(counts), "one" if len(things) == 1 else "two", "count")] if not where else []
    for thing, side in zip(things, ("left", "right"), strict=False):
        which = f"the {side} one" if len(things) == 2 else f"the object{picture}"
        what = f"what is on the {side}?" if len(things) == 2 else f"what is {where or rnd.choice(['this', 'there'])}?"
        asked.append(Question(f"what {color} is {which}?", thing.color, "color"))
        asked.append(Question(f"what shape is {which}?", thing.shape, "shape"))
        asked.append(Question(what, f"a {thing.color} {thing.shape}", "name"))
    return asked


@dataclass(frozen=True)
class Dialogue:
    images: list[Image.Image]
    turns: list[Question]
    text_first: bool  # the first question stands before the images


def dialogue(rnd: random.Random, pairs: float) -> Dialogue:
    """About one picture or, with the probability `pairs`, about two of one thing each."""
    scale, pair = rnd.choice([1, ENLARGED]), rnd.random() < pairs
    scenes = [scene(rnd, 1), scene(rnd, 1)] if pair else [scene(rnd, rnd.choice([1, 2]))]
    names = [f"the {number} {rnd.choice(['image', 'picture'])}" for number in ("first", "second")] if pair else [""]
    asked = [question for things, name in zip(scenes, names, strict=True) for question in questions(things, rnd, name)]
    images = [draw(things, rnd, scale) for things in scenes]
    return Dialogue(images, rnd.sample(asked, rnd.randint(1, 3)), rnd.random() < 0.25)


def tokenizer() -> Tokenizer:
    """A token for each word, in small letters."""
    made = Tokenizer(models.WordLevel(NUMBER, unk_token="<unk>"))
    made.add_special_tokens(SPECIAL)
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return made


def row(talk: Dialogue, words: Tokenizer) -> tuple[list[int], list[int]]:
    """Tokens, and labels that ask for the answers alone."""
    tokens = [BEGIN]
    labels = [-100]
    for i, turn in enumerate(talk.turns):
        image, text = [IMAGE] * (PLACES * len(talk.images)) if i == 0 else [], words.encode(turn.text).ids
        asked = [USER, *text, *image, ASSISTANT] if talk.text_first else [USER, *image, *text, ASSISTANT]
        answer = [*words.encode(turn.answer).ids, END]
        tokens += asked + answer
        labels += [-100] * len(asked) + answer
    return tokens, labels


def batch(rnd: random.Random, words: Tokenizer, pairs: float) -> dict[str, Tensor]:
    talks = [dialogue(rnd, pairs) for _ in range(ROWS)]
    rows = [row(talk, words) for talk in talks]
    width = max(len(tokens) for tokens, _ in rows)
    tokens = torch.tensor([tokens + [PAD] * (width - len(tokens)) for tokens, _ in rows])
    labels = torch.tensor([labels + [-100] * (width - len(labels)) for _, labels in rows])
    images = torch.stack([pixels(resized(image)) for talk in talks for image in talk.images])
    return {"input_ids": tokens, "attention_mask": (tokens != PAD).long(), "labels": labels, "pixel_values": images}


def resized(image: Image.Image) -> Image.Image:
    return image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def model() -> LlavaForConditionalGeneration:
    vision = CLIPVisionConfig(
        hidden_size=96, intermediate_size=192, num_attention_heads=4, num_hidden_layers=3, image_size=SIDE, patch_size=PATCH
    )
    sizes: dict[str, Any] = {
        "hidden_size": 96,
        "intermediate_size": 192,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    marks: dict[str, Any] = {"pad_token_id": PAD, "bos_token_id": BEGIN, "eos_token_id": END}
    text = LlamaConfig(vocab_size=len(NUMBER), max_position_embeddings=256, tie_word_embeddings=True, **sizes, **marks)
    image: dict[str, Any] = {"image_token_index": IMAGE, "image_seq_length": PLACES, "vision_feature_layer": -1}
    whole = LlavaConfig(vision_config=vision, text_config=text, **image, **marks, tie_word_embeddings=True)
    made = LlavaForConditionalGeneration(whole)
    seen = CLIPModel.from_pretrained(TOWER, dtype=torch.float32).vision_model.state_dict()
    made.model.vision_tower.load_state_dict({name.removeprefix("vision_model."): value for name, value in seen.items()})
    return made


def train() -> LlavaForConditionalGeneration:
    torch.manual_seed(SEED)
    learner = model()
    for number, (steps, rate, pairs) in enumerate(ROUNDS):
        learn(learner, steps, rate, pairs, random.Random(SEED + number))
    return learner.eval()


def learn(learner: LlavaForConditionalGeneration, steps: int, rate: float, pairs: float, rnd: random.Random) -> None:
    words = tokenizer()
    optimizer = torch.optim.AdamW(learner.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 30) * (0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)) + 0.02)
        loss = learner(**batch(rnd, words, pairs)).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step} of {steps}: loss {loss.item():.4f}", flush=True)


def save(learner: LlavaForConditionalGeneration, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    learner.half().save_pretrained(folder)
    tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    marks = {"bos_token": SPECIAL[BEGIN], "eos_token": SPECIAL[END], "pad_token": SPECIAL[PAD], "unk_token": SPECIAL[UNKNOWN]}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **marks}, indent=2) + "\n")
    processor = {
        "processor_class": "LlavaProcessor",
        "patch_size": PATCH,
        "vision_feature_select_strategy": "default",
        "image_token": "<image>",
    }
    (folder / "processor_config.json").write_text(json.dumps({**processor, "num_additional_image_tokens": 1}, indent=2) + "\n")
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=2) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    save(train(), Path(sys.argv[1]))
