"""Texts and images in one embedded encoder: the vectors that transformers gives, in any company; what cannot be read is refused."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.api import Pixels, Sentence, Unsupported
from engine.embedded.encoder.engine import EmbeddedEncoder
from engine.embedded.encoder.load import EncoderLimits, EncoderOptions, load_encoder
from engine.embedded.encoder.native import ByteLinear
from engine.embedded.kernels.library import levels
from tests.models.encoder_world import make
from tests.models.sight_world import pictures
from tests.models.test_encoders import BODIES
from tests.models.test_sight import PAIR_CASES, TOWERS, images_of, inputs, seen_by_them, texts

EXACT = EncoderOptions(dtype="float32", threads=1, limits=EncoderLimits(max_step_tokens=90, max_sentences=5))


def embedded(directory: Path, batches: Sequence[Sequence[Sentence | Pixels]], options: EncoderOptions = EXACT) -> list[Any]:
    """Rows of each of the batches, which come at the same time."""

    async def run() -> list[Any]:
        encoder = EmbeddedEncoder(load_encoder(directory, options))
        try:
            return await asyncio.gather(*map(encoder.embed, batches))
        finally:
            await encoder.close()

    return asyncio.run(run())


def pixels(image: Tensor) -> Pixels:
    return Pixels(image.numpy())


def sentence(text: Tensor) -> Sentence:
    return Sentence(tokens=tuple(text.tolist()))


@pytest.mark.parametrize("name", PAIR_CASES)
def test_same_vectors_beside_one_another(name: str, tmp_path: Path) -> None:
    values = PAIR_CASES[name]
    theirs = make(values)
    theirs.save_pretrained(tmp_path)
    images, words = images_of(values), texts(values)
    with torch.no_grad():
        given = seen_by_them(values, images)
        seen = theirs(input_ids=words[0][None], **given).image_embeds.numpy()
        read = torch.cat([theirs(input_ids=text[None], **given).text_embeds for text in words]).numpy()
    mixed = [pixels(images[0]), sentence(words[0]), pixels(images[1]), sentence(words[1]), sentence(words[2])]
    both, rest = embedded(tmp_path, [mixed, [*map(pixels, images[2:])]])
    want = np.stack([seen[0], read[0], seen[1], read[1], read[2]])
    np.testing.assert_allclose(both, want, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(rest, seen[2:], rtol=1e-4, atol=1e-4)


def test_texts_are_filled_up(tmp_path: Path) -> None:
    """As SigLIP's were in training: what stands in the file of its tokenizer need not do it."""
    values = PAIR_CASES["siglip"]
    make(values).save_pretrained(tmp_path)
    whole = texts(values)
    short = [sentence(text[text != values["text_config"]["pad_token_id"]]) for text in whole]
    given, filled = embedded(tmp_path, [short, list(map(sentence, whole))])
    np.testing.assert_allclose(given, filled, atol=1e-6)


SIZES = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4}
FAST = EncoderOptions(threads=1, limits=EncoderLimits(max_step_tokens=90, max_sentences=5))


@pytest.mark.skipif(not levels(), reason="the kernels need a compiler at installation and a processor with AVX2")
@pytest.mark.parametrize(("name", "patch"), [("clip", 8), ("clip", 4), ("siglip", 8), ("siglip2", 4)])
def test_on_the_kernels(name: str, patch: int, tmp_path: Path) -> None:
    """Also with patches whose numbers are no multiple of what the kernels read at once."""
    values = PAIR_CASES[name]
    values = values | {part: values[part] | SIZES for part in ("text_config", "vision_config")}
    values["text_config"] |= {"projection_size": 64} if name != "clip" else {}
    values["vision_config"] |= {"patch_size": patch}
    make(values).save_pretrained(tmp_path)
    sight = load_encoder(tmp_path, FAST).sight
    assert sight is not None and any(isinstance(part, ByteLinear) for part in cast(Any, sight.model).modules())
    batch = [*map(pixels, images_of(values)), *map(sentence, texts(values))]
    (exact,), (fast,) = embedded(tmp_path, [batch]), embedded(tmp_path, [batch], FAST)
    assert (exact * fast).sum(1).min() > 0.99


@pytest.mark.skipif(not levels(), reason="the kernels need a compiler at installation and a processor with AVX2")
def test_bytes_for_images_beside_exact_texts(tmp_path: Path) -> None:
    """No kernel reads CLIP's texts, which look back only."""
    values = PAIR_CASES["clip"] | {"vision_config": PAIR_CASES["clip"]["vision_config"] | SIZES}
    make(values).save_pretrained(tmp_path)
    (exact,) = embedded(tmp_path, [list(map(sentence, texts(values)))])
    (given,) = embedded(tmp_path, [list(map(sentence, texts(values)))], EncoderOptions(dtype="int8", threads=1))
    np.testing.assert_allclose(given, exact, atol=1e-5)


WRONG = {
    "sides that are no patches": (pictures((24, 26))[0], "in whole patches of 4 pixels, not [3, 24, 26]"),
    "gray": (pictures((24, 24))[0][:1], "not [1, 24, 24]"),
    "nothing": (pictures((24, 0))[0], "not [3, 24, 0]"),
    "too large": (pictures((48, 48))[0], "the image makes 145 rows; this model reads 37"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit(name: str, tmp_path: Path) -> None:
    make(PAIR_CASES["clip"]).save_pretrained(tmp_path)
    image, message = WRONG[name]
    with pytest.raises(Unsupported) as error:
        embedded(tmp_path, [[pixels(image)]])
    assert message in str(error.value)


def test_an_encoder_of_texts_reads_no_images(tmp_path: Path) -> None:

    make(BODIES["bert"]).save_pretrained(tmp_path)
    with pytest.raises(Unsupported, match="reads texts, and no images"):
        embedded(tmp_path, [[pixels(pictures((24, 24))[0])]])


@pytest.mark.parametrize("name", [name for name in TOWERS if name != "vit-gray"])
def test_an_encoder_of_images_alone(name: str, tmp_path: Path) -> None:
    """Rows of class tokens, or logits of a classifier; texts are refused."""
    theirs = make(TOWERS[name])
    theirs.save_pretrained(tmp_path)
    images = [*inputs(TOWERS[name]), *inputs(TOWERS[name])]
    with torch.no_grad():
        found = theirs(torch.stack(images))
    pooled = found.pooler_output if name.startswith("swin") and "logits" not in found else found[0][:, 0]
    want = found.logits if "logits" in found else pooled
    several = embedded(tmp_path, [list(map(pixels, images[:2])), list(map(pixels, images[2:]))])
    np.testing.assert_allclose(np.concatenate(several), want.numpy(), rtol=1e-4, atol=1e-4)
    with pytest.raises(Unsupported, match="reads images, and no texts"):
        embedded(tmp_path, [[Sentence(tokens=(1,))]])
