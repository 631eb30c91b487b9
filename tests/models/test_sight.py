"""Every encoder of images gives the rows, vectors and scores that transformers gives, for the same random checkpoint."""

from importlib import import_module
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.build import build_encoder
from models.describe import describe, parameters
from models.encoders import open_encoder
from models.families import IMAGE_ENCODERS, PAIRS, arch_of, pair_of
from models.hf import ConfigError
from models.images import cut
from models.pairs import open_pair
from models.quant import WeightsError
from models.reference import Reference
from models.spec import Grid, Patches
from models.spec.check import check
from models.spec.json_form import from_json, to_json
from tests.models.encoder_world import make
from tests.models.sight_world import OurPair, filled, pictures, read, seen


def close(ours: Tensor, theirs: Tensor, error: float = 1e-4) -> None:
    torch.testing.assert_close(ours, theirs, rtol=error, atol=error)


def tiny(family: str, **changes: Any) -> dict[str, Any]:
    return import_module(f"models.families.vision.{family}").TINY | changes


def part(family: str, name: str, **changes: Any) -> dict[str, Any]:
    return tiny(family)[name] | changes


TOWERS: dict[str, dict[str, Any]] = {
    "vit": tiny("vit"),
    "vit-classifier": tiny("vit", architectures=["ViTForImageClassification"], num_labels=7),
    "vit-body": tiny("vit", architectures=["ViTModel"], hidden_act="gelu_new", layer_norm_eps=1e-6),
    "vit-gray": tiny("vit", architectures=["ViTModel"], num_channels=1, image_size=[16, 28], qkv_bias=False),
    "swin": tiny("swin"),
    "swin, filled up": tiny("swin", image_size=[40, 52], mlp_ratio=4.0, qkv_bias=False, hidden_act="gelu_new", layer_norm_eps=1e-6),
    "swin-classifier": tiny("swin", architectures=["SwinForImageClassification"], num_labels=5),
    "dinov2": tiny("dinov2"),
    "dinov2-gated": tiny("dinov2", use_swiglu_ffn=True, hidden_size=60),
    "dinov2-classifier": tiny("dinov2", architectures=["Dinov2ForImageClassification"], num_labels=6),
}
PAIR_CASES: dict[str, dict[str, Any]] = {
    "clip": tiny("clip"),
    "clip-gelu": tiny(
        "clip",
        text_config=part("clip", "text_config", hidden_act="gelu"),
        vision_config=part("clip", "vision_config", hidden_act="gelu", layer_norm_eps=1e-6),
    ),
    "siglip": tiny("siglip"),
    "siglip2": tiny("siglip2"),
}


def inputs(values: dict[str, Any]) -> list[Tensor]:
    size = values["image_size"]
    height, width = (size, size) if isinstance(size, int) else size
    images = pictures(*[(height, width)] * 3)
    return [image[: values.get("num_channels", 3)] for image in images]


@pytest.mark.parametrize("name", TOWERS)
def test_same_rows_and_outputs(name: str, tmp_path: Path) -> None:
    theirs = make(TOWERS[name])
    theirs.save_pretrained(tmp_path)
    images = inputs(TOWERS[name])
    with torch.no_grad():
        want = theirs.base_model(torch.stack(images)).last_hidden_state
        scores = theirs(torch.stack(images))
    assert want.std() > 0.2
    x_TD, y_SE = seen(filled(open_encoder(tmp_path)), images)
    close(x_TD, want.flatten(0, 1))
    pooled = scores.pooler_output if name.startswith("swin") and "pooler_output" in scores else want[:, 0]
    close(y_SE, scores.logits if "logits" in scores else pooled)


@pytest.mark.parametrize("name", ["vit", "dinov2"])
def test_positions_are_stretched_to_the_image(name: str, tmp_path: Path) -> None:
    """Images of several sizes in one step."""
    theirs = make(TOWERS[name])
    theirs.save_pretrained(tmp_path)
    images = pictures((24, 24), (8, 20), (36, 4), (44, 28))
    options = {"interpolate_pos_encoding": True} if name == "vit" else {}
    with torch.no_grad():
        want = torch.cat([theirs.base_model(image[None], **options).last_hidden_state[0] for image in images])
    close(seen(filled(open_encoder(tmp_path)), images)[0], want)


def texts(values: dict[str, Any]) -> list[Tensor]:
    """As their tokenizers make them: CLIP's end with </s>, SigLIP's are filled up."""
    config, generator = values["text_config"], torch.Generator().manual_seed(5)
    words = [torch.randint(6, 97, (n,), generator=generator) for n in (3, 9, 1)]
    if values["model_type"] == "clip":
        return [torch.cat([torch.tensor([97]), text, torch.tensor([98])]) for text in words]
    return [F.pad(text, (0, config["max_position_embeddings"] - len(text)), value=config["pad_token_id"]) for text in words]


def seen_by_them(values: dict[str, Any], images: list[Tensor]) -> dict[str, Tensor]:
    """What the model is given as images: SigLIP 2 takes patches, filled up, and how many there are."""
    if values["model_type"] != "siglip2":
        return {"pixel_values": torch.stack(images)}
    config = values["vision_config"]
    size, most = config["patch_size"], config["num_patches"]
    cuts = [image.unflatten(1, (-1, size)).unflatten(3, (-1, size)).permute(1, 3, 2, 4, 0).reshape(-1, 3 * size * size) for image in images]
    return {
        "pixel_values": torch.stack([F.pad(rows, (0, 0, 0, most - len(rows))) for rows in cuts]),
        "pixel_attention_mask": torch.stack([(torch.arange(most) < len(rows)).long() for rows in cuts]),
        "spatial_shapes": torch.tensor([[image.shape[1] // size, image.shape[2] // size] for image in images]),
    }


def images_of(values: dict[str, Any]) -> list[Tensor]:
    if values["model_type"] == "siglip2":
        return pictures((24, 24), (8, 20), (4, 36), (40, 12))
    return pictures(*[(24, 24)] * 4)


@pytest.mark.parametrize("name", PAIR_CASES)
def test_same_vectors_and_scores(name: str, tmp_path: Path) -> None:
    values = PAIR_CASES[name]
    theirs = make(values)
    theirs.save_pretrained(tmp_path)
    images, words, ours = images_of(values), texts(values), OurPair(tmp_path)
    given, tower = seen_by_them(values, images), cast(Any, theirs.vision_model)
    with torch.no_grad():
        # one text at a time, as they have different lengths
        text_vectors = torch.cat([theirs(input_ids=text[None], **given).text_embeds for text in words])
        found = theirs(input_ids=words[0][None], **given)
        hidden = tower(**given).last_hidden_state
        if name.startswith("clip"):
            hidden = tower.post_layernorm(hidden)
    x_TD, image_SE = seen(ours.image, images)
    counts = [image.shape[1] * image.shape[2] // 16 + name.startswith("clip") for image in images]
    close(x_TD, torch.cat([row[:count] for row, count in zip(hidden, counts, strict=True)]))
    _, text_SE = read(ours.text, words)
    close(image_SE, found.image_embeds)
    close(text_SE, text_vectors)
    close(ours.scores(image_SE, text_SE[:1]), found.logits_per_image)


@pytest.mark.parametrize("name", ["clip", "siglip2"])
def test_company_changes_nothing(name: str, tmp_path: Path) -> None:
    values = PAIR_CASES[name]
    make(values).save_pretrained(tmp_path)
    ours, images = OurPair(tmp_path), images_of(values)
    together = seen(ours.image, images)[1]
    close(together, torch.cat([seen(ours.image, [image])[1] for image in images]), 1e-5)


def test_what_a_pair_says_of_itself() -> None:
    clip, siglip = pair_of(tiny("clip")), pair_of(tiny("siglip"))
    assert (clip.judged, clip.filler, clip.image.context) == ("softmax", None, 37)
    assert (siglip.judged, siglip.filler, siglip.image.context) == ("sigmoid", 5, 36)


def test_what_older_files_say_twice_is_meant() -> None:
    values = tiny("clip", vision_config_dict={"patch_size": 8}, text_config_dict=None)
    pair = pair_of(values)
    assert pair.image.patches is not None
    assert pair.image.patches.size == 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vision_config": part("clip", "vision_config", rotary=True)}, "vision_config: nobody read rotary"),
        ({"vision_config": part("clip", "vision_config", patch_size=[4, 8])}, "patches must be squares"),
        ({"text_config": part("clip", "text_config", hidden_act="swoosh")}, "hidden_act = 'swoosh' is not supported"),
        ({"router": 3}, "nobody read router"),
    ],
)
def test_what_is_not_known_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        pair_of(tiny("clip", **changes))


@pytest.mark.parametrize("name", ["adapter.weight", "text_model.adapter.weight", "vision_model.encoder.layers.0.lambda"])
def test_unknown_tensors(name: str, tmp_path: Path) -> None:
    make(PAIR_CASES["clip"]).save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    save_file(load_file(path) | {name: torch.ones(3)}, path)
    with pytest.raises(WeightsError, match=f"does not use: {name}"):
        OurPair(tmp_path)


def test_buffers_of_older_files_are_left_out(tmp_path: Path) -> None:
    make(PAIR_CASES["clip"]).save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    ids = {f"{tower}_model.embeddings.position_ids": torch.arange(24)[None] for tower in ("text", "vision")}
    save_file(load_file(path) | ids, path)
    OurPair(tmp_path)


def test_a_sigmoid_needs_its_offset(tmp_path: Path) -> None:
    make(PAIR_CASES["siglip"]).save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    save_file({name: tensor for name, tensor in load_file(path).items() if name != "logit_bias"}, path)
    with pytest.raises(WeightsError, match="must have logit_scale and logit_bias"):
        open_pair(tmp_path)


def test_patches_lie_line_by_line() -> None:
    spec = Patches(size=2, grid=Grid(rows=2, columns=3))
    image = torch.arange(3 * 4 * 6).view(3, 4, 6).float()
    rows = cut(image, spec)
    assert rows.shape == (6, 12)
    close(rows[4].view(3, 2, 2), image[:, 2:4, 2:4])


@pytest.mark.parametrize("name", TOWERS)
def test_what_it_says_of_itself(name: str) -> None:
    arch = arch_of(TOWERS[name])
    check(arch)
    assert from_json(to_json(arch)) == arch
    model = build_encoder(arch, Reference(), context=arch.context)
    held = sum(numbers.numel() for numbers in model.state_dict().values() if numbers.is_floating_point())
    assert describe(arch).parameters == parameters(arch) == held


def test_stages_that_are_not_known_are_refused() -> None:
    for changes, message in (
        ({"depths": [2, 2]}, "must have 4 numbers each"),
        ({"window_size": 4}, "window_size = 4 is more than the 3 lines"),
        ({"use_absolute_embeddings": True}, "use_absolute_embeddings"),
    ):
        with pytest.raises(ConfigError, match=message):
            arch_of(tiny("swin", **changes))


def test_small_images_are_filled_up_to_a_square(tmp_path: Path) -> None:
    """In any company; their oracle cannot read them."""
    make(TOWERS["swin"]).save_pretrained(tmp_path)
    model, images = filled(open_encoder(tmp_path)), pictures((48, 48), (6, 2), (20, 48), (20, 48))
    together = seen(model, images)[1]
    close(together, torch.cat([seen(model, [image])[1] for image in images]))


def test_every_encoder_of_images_has_a_case() -> None:
    assert {values["architectures"][0] for values in TOWERS.values()} == set(IMAGE_ENCODERS)
    assert {values["architectures"][0] for values in PAIR_CASES.values()} == set(PAIRS)
