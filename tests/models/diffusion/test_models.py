"""Denoisers and autoencoders say what diffusers' say."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler

from models.diffusion.build import build_autoencoder, build_denoiser, build_text_denoiser, build_unet, fill_denoiser, fill_named
from models.diffusion.folder import Labelled, open_pipeline
from models.families.diffusion import (
    autoencoder_of,
    denoiser_of,
    dit,
    flux,
    kl_autoencoder,
    pixart,
    sd3,
    text_denoiser_of,
    tiny_autoencoder,
    unet,
    unet_of,
)
from models.hf import ConfigError
from models.quant import WeightsError
from models.reference import Reference
from models.stacks.diffusion.dit import Told
from models.stacks.diffusion.mmdit import Prompted
from models.stacks.diffusion.pixart import Captioned
from models.stacks.diffusion.unet import Measured
from tests.models.diffusion.world import make, pixels, save

DITS: dict[str, dict[str, Any]] = {
    "tiny": {},
    "pixels alone, one output for each": {"in_channels": 1, "out_channels": None},
    "patches of 4, no bias, exact gelu": {"patch_size": 4, "attention_bias": False, "activation_fn": "gelu", "norm_eps": 1e-3},
}


@pytest.mark.parametrize("change", DITS.values(), ids=DITS)
@torch.no_grad()
def test_dit(change: dict[str, Any]) -> None:
    values = dit.TINY | change
    world = make(values)
    spec, recipes = denoiser_of(values, "config.json")
    model = build_denoiser(spec, Reference())
    fill_denoiser(model, recipes, dict(world.state_dict()))
    x, times, labels = pixels(3, spec.channels, 8, 8), torch.tensor([999.0, 17.5, 0.0]), torch.tensor([0, 6, 7])
    said = world(x, timestep=times, class_labels=labels, return_dict=False)[0]
    torch.testing.assert_close(model(x, Told(times, labels)), said, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_dit_as_it_was_published_first() -> None:
    """By another class, with the positions that everybody can compute stored beside."""
    values = dit.TINY | {"_class_name": "Transformer2DModel", "only_cross_attention": False, "num_vector_embeds": None}
    world = Transformer2DModel(**{key: value for key, value in values.items() if not key.startswith("_")}).eval()
    spec, recipes = denoiser_of(values, "config.json")
    model = build_denoiser(spec, Reference())
    fill_denoiser(model, recipes, dict(world.state_dict()) | {"pos_embed.pos_embed": torch.zeros(1, 16, 36)})
    x, times, labels = pixels(2, 4, 8, 8), torch.tensor([999.0, 17.5]), torch.tensor([0, 7])
    said: Any = world(x, timestep=times, class_labels=labels, return_dict=False)
    torch.testing.assert_close(model(x, Told(times, labels)), said[0], atol=1e-4, rtol=1e-4)


SD3S: dict[str, dict[str, Any]] = {
    "3.5": {},
    "3.0": {"dual_attention_layers": [], "qk_norm": None},
    "out of what comes in": {"out_channels": None, "num_layers": 1},
}


SIZES = [(8, 8), (12, 6)]  # height and width of latents


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("change", SD3S.values(), ids=SD3S)
@torch.no_grad()
def test_sd3(change: dict[str, Any], size: tuple[int, int]) -> None:
    values = sd3.TINY | change
    world = make(values)
    spec, rule = text_denoiser_of(values, "config.json")
    model = build_text_denoiser(spec, Reference())
    fill_named(model, rule, dict(world.state_dict()))
    x, text, pooled, times = pixels(2, 4, *size), pixels(2, 5, 20, seed=4), pixels(2, 24, seed=5), torch.tensor([999.0, 17.5])
    said = world(x, encoder_hidden_states=text, pooled_projections=pooled, timestep=times, return_dict=False)[0]
    torch.testing.assert_close(model(x, Prompted(times, text, pooled)), said, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("guided", [True, False])
@torch.no_grad()
def test_flux(guided: bool, size: tuple[int, int]) -> None:
    values = flux.TINY | {"guidance_embeds": guided}
    world = make(values)
    spec, rule = text_denoiser_of(values, "config.json")
    model = build_text_denoiser(spec, Reference())
    fill_named(model, rule, dict(world.state_dict()))
    x, text, pooled, times = pixels(2, 4, *size), pixels(2, 5, 20, seed=4), pixels(2, 24, seed=5), torch.tensor([999.0, 17.5])
    high, wide = size[0] // 2, size[1] // 2
    packed = x.view(2, 4, high, 2, wide, 2).permute(0, 2, 4, 1, 3, 5).reshape(2, high * wide, 16)
    places = torch.zeros(high, wide, 3)
    places[..., 1], places[..., 2] = torch.arange(high)[:, None], torch.arange(wide)
    guidance = torch.tensor([3.5, 1.0]) if guided else None
    told = {"timestep": times / 1000, "guidance": guidance, "txt_ids": torch.zeros(5, 3), "img_ids": places.view(-1, 3)}
    said = world(packed, encoder_hidden_states=text, pooled_projections=pooled, return_dict=False, **told)[0]
    want = said.view(2, high, wide, 4, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(2, 4, *size)
    torch.testing.assert_close(model(x, Prompted(times, text, pooled, guidance)), want, atol=1e-4, rtol=1e-4)


PIXARTS: dict[str, dict[str, Any]] = {
    "sized": {},
    "not sized, no bias": {"use_additional_conditions": None, "attention_bias": False, "interpolation_scale": None, "out_channels": None},
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("change", PIXARTS.values(), ids=PIXARTS)
@torch.no_grad()
def test_pixart(change: dict[str, Any], size: tuple[int, int]) -> None:
    """Two texts, of which one is shorter."""
    values = pixart.TINY | change
    world = make(values)
    spec, rule = text_denoiser_of(values, "config.json")
    model = build_text_denoiser(spec, Reference())
    fill_named(model, rule, dict(world.state_dict()))
    x, text, times = pixels(2, 4, *size), pixels(2, 5, 20, seed=4), torch.tensor([999.0, 17.5])
    keep, sizes, ratios = (
        torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]),
        torch.tensor([[64.0, 48.0], [32.0, 32.0]]),
        torch.tensor([[1.3], [1.0]]),
    )
    added = (
        {"resolution": sizes, "aspect_ratio": ratios} if values["use_additional_conditions"] else {"resolution": None, "aspect_ratio": None}
    )
    said = world(x, encoder_hidden_states=text, timestep=times, added_cond_kwargs=added, encoder_attention_mask=keep, return_dict=False)[0]
    torch.testing.assert_close(model(x, Captioned(times, text, keep, sizes, ratios)), said, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_pixart_as_it_was_published_first() -> None:
    """By the class by which DiT was, too."""
    values = pixart.TINY | {"_class_name": "Transformer2DModel", "norm_type": "ada_norm_single", "norm_elementwise_affine": False}
    values |= {"activation_fn": "gelu-approximate", "num_embeds_ada_norm": 1000, "attention_bias": True, "double_self_attention": False}
    world = make(values)
    spec, rule = text_denoiser_of(values, "config.json")
    model = build_text_denoiser(spec, Reference())
    fill_named(model, rule, dict(world.state_dict()))
    x, text, times, keep = pixels(2, 4, 8, 8), pixels(2, 5, 20, seed=4), torch.tensor([999.0, 17.5]), torch.ones(2, 5)
    sizes, ratios = torch.tensor([[64.0, 48.0], [32.0, 32.0]]), torch.tensor([[1.3], [1.0]])
    told = {"added_cond_kwargs": {"resolution": sizes, "aspect_ratio": ratios}, "encoder_attention_mask": keep}
    said = world(x, encoder_hidden_states=text, timestep=times, return_dict=False, **told)[0]
    torch.testing.assert_close(model(x, Captioned(times, text, keep, sizes, ratios)), said, atol=1e-4, rtol=1e-4)
    with pytest.raises(ConfigError, match="sample_size is missing"):
        text_denoiser_of(values | {"sample_size": None}, "config.json")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (pixart.TINY | {"cross_attention_dim": 30}, "must be 36, as wide as the model"),
        (pixart.TINY | {"caption_channels": None}, "caption_channels is missing"),
        (sd3.TINY | {"caption_projection_dim": 30}, "must be 32, as wide as the model"),
        (sd3.TINY | {"qk_norm": "layer_norm"}, "qk_norm"),
        (flux.TINY | {"axes_dims_rope": [4, 6]}, "three numbers, 16 together"),
        (flux.TINY | {"patch_size": 2}, "patch_size"),
    ],
)
def test_mmdits_that_are_not_known(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        text_denoiser_of(values, "config.json")


@pytest.mark.parametrize("change", [{}, {"act_fn": "gelu", "num_encoder_blocks": [2, 0, 1]}], ids=["tiny", "gelu"])
@torch.no_grad()
def test_tiny_autoencoder(change: dict[str, Any]) -> None:
    values = tiny_autoencoder.TINY | change
    world = make(values)
    spec, recipes = autoencoder_of(values, "config.json")
    model = build_autoencoder(spec, Reference())
    fill_named(model, recipes, dict(world.state_dict()))
    x, z = pixels(2, 3, 16, 24), pixels(2, 4, 4, 6)
    torch.testing.assert_close(model.encode(x), world.encode(x).latents * spec.latents.scale, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(model.decode(z), world.decode(z / spec.latents.scale).sample, atol=1e-4, rtol=1e-4)
    assert spec.factor == 4


KLS: dict[str, dict[str, Any]] = {
    "tiny": {},
    "one stage, no attention": {
        "down_block_types": ["DownEncoderBlock2D"],
        "up_block_types": ["UpDecoderBlock2D"],
        "block_out_channels": [12],
        "mid_block_add_attention": False,
        "layers_per_block": 1,
    },
    "16 channels, as SD3 and Flux have them": {"latent_channels": 16, "use_quant_conv": False, "use_post_quant_conv": False},
}


@pytest.mark.parametrize("older", [False, True], ids=["", "with the names of older files"])
@pytest.mark.parametrize("change", KLS.values(), ids=KLS)
@torch.no_grad()
def test_kl_autoencoder(change: dict[str, Any], older: bool) -> None:
    values = kl_autoencoder.TINY | change
    world, (spec, rule) = make(values), autoencoder_of(values, "config.json")
    model, tensors = build_autoencoder(spec, Reference()), dict(world.state_dict())
    for new, old in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")) if older else ():
        tensors = {name.replace(f"attentions.0.{new}.", f"attentions.0.{old}."): value for name, value in tensors.items()}
    fill_named(model, rule, tensors)
    x, (scale, shift) = pixels(2, 3, 16, 24), (spec.latents.scale, spec.latents.shift)
    z = pixels(2, spec.latents.channels, 16 // spec.factor, 24 // spec.factor)
    torch.testing.assert_close(model.encode(x), (world.encode(x).latent_dist.mode() - shift) * scale, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(model.decode(z), world.decode(z / scale + shift).sample, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"latents_mean": [0.0] * 4}, "latents_mean"),
        ({"norm_num_groups": 5}, "12 is no multiple of norm_num_groups = 5"),
        ({"up_block_types": ["AttnUpDecoderBlock2D"] * 3}, "up_block_types must be UpDecoderBlock2D"),
    ],
)
def test_an_autoencoder_that_is_not_supported(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        autoencoder_of(kl_autoencoder.TINY | change, "vae/config.json")


UNETS: dict[str, dict[str, Any]] = {
    "as Stable Diffusion 1": {},
    "as Stable Diffusion 2": {"attention_head_dim": [1, 2, 3], "use_linear_projection": True, "norm_eps": 1e-3},
    "deeper": {"transformer_layers_per_block": [1, 2, 3], "layers_per_block": 1, "in_channels": 9},
    "as Stable Diffusion XL": {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 64,
        "use_linear_projection": True,
    },
    "two stages": {
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
        "block_out_channels": [12, 24],
    },
}


@pytest.mark.parametrize("change", UNETS.values(), ids=UNETS)
@torch.no_grad()
def test_unet(change: dict[str, Any]) -> None:
    values = unet.TINY | change
    world = make(values)
    spec, rule = unet_of(values, "unet/config.json")
    model = build_unet(spec, Reference())
    fill_named(model, rule, dict(world.state_dict()))
    x, times, text = pixels(2, spec.channels, 8, 12), torch.tensor([999.0, 17.5]), pixels(2, 7, 20, seed=4)
    pooled, sizes = pixels(2, 16, seed=5), torch.tensor([[64.0, 48, 0, 0, 64, 48], [32.0, 32, 3, 5, 30, 8]])
    added = {"text_embeds": pooled, "time_ids": sizes}
    said = world(x, times, encoder_hidden_states=text, added_cond_kwargs=added, return_dict=False)[0]
    ours = model(x, times, text, None if spec.sized is None else Measured(pooled, sizes))
    torch.testing.assert_close(ours, said, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"addition_embed_type": "image"}, "addition_embed_type"),
        ({"addition_embed_type": "text_time", "addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 48}, "above 48"),
        ({"addition_time_embed_dim": 8}, "addition_time_embed_dim"),
        ({"attention_head_dim": [2, 2]}, "attention_head_dim must be a whole number, or one for each"),
        ({"down_block_types": ["KDownBlock2D"] * 3}, "down_block_types must be CrossAttnDownBlock2D or DownBlock2D"),
        ({"norm_num_groups": 5}, "12 must be a multiple of norm_num_groups = 5"),
    ],
)
def test_a_unet_that_is_not_supported(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        unet_of(unet.TINY | change, "unet/config.json")


def test_a_folder(tmp_path: Path) -> None:
    parts = {"transformer": make(dit.TINY), "vae": make(tiny_autoencoder.TINY), "scheduler": DDIMScheduler()}
    save(tmp_path, parts, _class_name="DiTPipeline", id2label={"3": "cat"})
    pipeline = open_pipeline(tmp_path)
    found = pipeline.denoiser
    assert isinstance(found, Labelled) and found.labels == {3: "cat"}
    model = build_denoiser(found.spec, Reference())
    fill_denoiser(model, found.part.recipes, found.part.tensors())
    (tmp_path / "transformer" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(WeightsError, match="has no diffusion_pytorch_model"):
        found.part.tensors()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (dit.TINY | {"norm_type": "layer_norm"}, "norm_type"),
        (dit.TINY | {"colour": 3}, "nobody read colour"),
        (dit.TINY | {"sample_size": 9}, "sample_size = 9 must be a multiple"),
        (dit.TINY | {"_class_name": "HunyuanDiT2DModel"}, "_class_name = 'HunyuanDiT2DModel'"),
    ],
)
def test_what_is_not_supported_is_named(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        denoiser_of(values, "transformer/config.json")


def test_parts_that_do_not_fit(tmp_path: Path) -> None:
    parts = {
        "transformer": make(dit.TINY),
        "vae": make(tiny_autoencoder.TINY | {"latent_channels": 3}),
        "scheduler": DDIMScheduler(),
    }
    save(tmp_path, parts, _class_name="DiTPipeline")
    with pytest.raises(ConfigError, match="latent_channels = 3"):
        open_pipeline(tmp_path)
