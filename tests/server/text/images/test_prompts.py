"""What stands for images in prompts, against the processors of transformers: the same tokens for a conversation with two images."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Gemma3ImageProcessorPil,
    Gemma3Processor,
    GotOcr2ImageProcessorPil,
    Idefics3ImageProcessorPil,
    Idefics3Processor,
    InternVLProcessor,
    LlavaNextImageProcessorPil,
    LlavaNextProcessor,
    MllamaImageProcessorPil,
    MllamaProcessor,
    PaliGemmaProcessor,
    PreTrainedTokenizerFast,
    Qwen2VLImageProcessorPil,
    Qwen2VLProcessor,
    SiglipImageProcessorPil,
)

from engine.api import CrossInfo, VisionInfo
from server.text.tokenizer import load_tokenizer
from tests.server.fakes import ask
from tests.server.text.images.world import eyes, image_part, noise, seeing, text_part

FAKES = ["<fake_token_around_image>", "<global-img>", *(f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5))]
MARKS = ["<pad>", "<s>", "</s>", "<image>", "<|user|>", "<|assistant|>", *FAKES, "<end_of_utterance>"]
MORE = ["<start_of_image>", "<image_soft_token>", "<end_of_image>", "<|vision_start|>", "<|image_pad|>", "<|video_pad|>", "<|vision_end|>"]
SPECIAL = [*MARKS, *MORE, "<img>", "</img>", "<IMG_CONTEXT>", "<video>"]
NUMBER = {mark: i for i, mark in enumerate(SPECIAL)}
ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
VOCAB = {entry: i for i, entry in enumerate([*SPECIAL, *ALPHABET, "ĊĊ", "ĊĊĊ", "ĊĊĊĊ"])}
TEMPLATE = """{{ bos_token }}{% for message in messages %}{{ '<|' + message.role + '|>\\n' }}\
{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}\
{% if part.type == 'image' %}{{ 'MARK' }}{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}{{ '\\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"""
SQUARE = {"height": 28, "width": 28}


@dataclass(frozen=True)
class Case:
    """`marks`: what its template writes for an image, and what stands for a row. `knows`: what the oracle needs to know."""

    processor: Any
    images: Any  # its processor of images
    said: Mapping[str, Any]
    marks: tuple[str, str] = ("<image>", "<image>")
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    knows: Mapping[str, Any] = field(default_factory=dict[str, Any])
    vision: Mapping[str, Any] = field(default_factory=dict[str, Any])


LINES = {"patch_size": 14, "num_additional_image_tokens": 1, "vision_feature_select_strategy": "default"}
TILED = {"fake_image_token": FAKES[0], "global_image_tag": FAKES[1], "image_token": "<image>", "image_seq_len": 1}
INTERN = {"start_image_token": "<img>", "end_image_token": "</img>", "image_token": "<IMG_CONTEXT>", "image_seq_length": 1}
PAD = "<|image_pad|>"
CASES = {
    "llava_next": Case(
        LlavaNextProcessor,
        LlavaNextImageProcessorPil,
        {"size": {"shortest_edge": 28}, "crop_size": SQUARE, "image_grid_pinpoints": [[28, 56], [56, 28], [56, 56]]},
        knows={**LINES, "image_token": "<image>"},
        vision={"merge": 1, "newline": True},
    ),
    "qwen2_vl": Case(
        Qwen2VLProcessor,
        Qwen2VLImageProcessorPil,
        {"min_pixels": 56 * 56, "max_pixels": 20_000},
        (f"<|vision_start|>{PAD}<|vision_end|>", PAD),
        knows={"image_token": PAD, "image_processor": SimpleNamespace(merge_size=2)},
        vision={"side": None},
    ),
    "idefics3": Case(
        Idefics3Processor, Idefics3ImageProcessorPil, {"size": {"longest_edge": 112}, "max_image_size": {"longest_edge": 28}}, knows=TILED
    ),
    "gemma3": Case(
        Gemma3Processor,
        Gemma3ImageProcessorPil,
        {"size": SQUARE},
        ("<start_of_image>", "<image_soft_token>"),
        {"boi_token_index": NUMBER["<start_of_image>"]},
        {"full_image_sequence": "\n\n<start_of_image><image_soft_token><end_of_image>\n\n"},
    ),
    "internvl": Case(InternVLProcessor, GotOcr2ImageProcessorPil, {"size": SQUARE}, ("<IMG_CONTEXT>", "<IMG_CONTEXT>"), knows=INTERN),
    "mllama": Case(
        MllamaProcessor,
        MllamaImageProcessorPil,
        {"size": SQUARE},
        knows={"image_token": "<image>"},
        vision={"cross": CrossInfo(rows=20, most=400, arrangements=((1, 1), (2, 2)))},
    ),
    "paligemma": Case(
        PaliGemmaProcessor, SiglipImageProcessorPil, {"size": SQUARE}, knows={"image_token": "<image>", "image_seq_length": 1}
    ),
}
QUESTIONS = ("\nWhat is <image> in\n", "and here?")
PICTURES = [noise(1, 100, 60), noise(2, 30, 95)]


def folder_of(path: Path, family: str, case: Case) -> Path:
    """A checkpoint without weights: every byte is a token, and so are two to four ends of lines."""
    made = Tokenizer(models.BPE(VOCAB, [("Ċ", "Ċ"), ("ĊĊ", "Ċ"), ("ĊĊ", "ĊĊ")]))
    made.add_special_tokens(SPECIAL)
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False), decoders.ByteLevel()
    made.save(str(path / "tokenizer.json"))
    files = {
        "config.json": {"model_type": family, "image_token_id": NUMBER[case.marks[1]], "eos_token_id": 2, **case.config},
        "preprocessor_config.json": {"image_processor_type": case.images.__name__, **case.said},
        "tokenizer_config.json": {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"},
    }
    for name, content in files.items():
        (path / name).write_text(json.dumps(content))
    if family != "paligemma":
        (path / "chat_template.jinja").write_text(TEMPLATE.replace("MARK", case.marks[0]))
    return path


def expected(path: Path, family: str, case: Case) -> list[int]:
    """By the oracle, whose text of a client's is put in only where everything else is done: it takes that for a mark, too."""
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(path / "tokenizer.json"), bos_token="<s>")
    more = {"return_row_col_info": True} if family == "idefics3" else {"crop_to_patches": True} if family == "internvl" else {}
    pictures = [PICTURES] if family == "idefics3" else PICTURES
    prepared = case.images(**case.said)(pictures, return_tensors=None, **more)
    oracle = SimpleNamespace(**case.knows)
    if hasattr(case.processor, "_get_number_of_features"):
        for name in ("_get_number_of_features", "_get_unpadded_features"):
            setattr(oracle, name, getattr(case.processor, name).__get__(oracle))
        oracle.image_processor = case.images(**case.said)
    shown = [case.processor.replace_image_token(oracle, prepared, place) for place in range(2)]
    first, second = (question.replace("<image>", "?????") for question in QUESTIONS)
    if family == "paligemma":
        text = f"{shown[0]}{shown[1]}<s>{first}{second}\n"
    else:
        around = case.marks[0].split(case.marks[1]) if case.marks[1] in case.marks[0] else ("", "")
        text = f"<s><|user|>\n{first}{around[0]}{shown[0]}{around[1]}{around[0]}{shown[1]}{around[1]}{second}\n<|assistant|>"
    return tokenizer.encode(text, add_special_tokens=False)


@pytest.mark.parametrize("family", CASES)
def test_tokens(family: str, tmp_path: Path) -> None:
    case = CASES[family]
    folder, vision = folder_of(tmp_path, family, case), {"merge": 2, "side": 28, **case.vision}
    engine = eyes(VisionInfo(marker=NUMBER[case.marks[1]], channels=3, patch=14, rows=4096, **vision))
    engine.context, engine.vocab = 4096, len(VOCAB)
    content = [text_part(QUESTIONS[0]), *map(image_part, PICTURES), text_part(QUESTIONS[1])]
    body = {"model": "tiny", "messages": [{"role": "user", "content": content}]}
    answer = ask(seeing(engine, load_tokenizer(folder), folder), "POST", "/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    (request,) = engine.requests
    name = [VOCAB[character] for character in "<image>"]
    said = [VOCAB[character] for character in "?????"]
    found, at = list(request.tokens), next(i for i in range(len(request.tokens)) if list(request.tokens[i : i + 7]) == name)
    assert [*found[:at], *said, *found[at + 7 :]] == expected(folder, family, case)
    assert sum(placed.rows for placed in request.images) == found.count(NUMBER[case.marks[1]])
