"""What of a pipeline's folder is not supported, or does not fit, is named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.diffusion.folder import open_pipeline
from models.hf import ConfigError
from models.spec.diffusion import MaskedT5, PairedRows, PairedRowsAndT5, VectorAndT5
from tests.models.diffusion.pipelines import flux_1, pixart_sigma, stable_3, stable_xl

MAKE: dict[str, Callable[[Path], Any]] = {"xl": stable_xl, "3": stable_3, "flux": flux_1, "pixart": pixart_sigma}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = dict[str, Path]()
    for name, make in MAKE.items():
        found[name] = tmp_path_factory.mktemp(name)
        make(tmp_path_factory.mktemp("words")).save_pretrained(found[name])
    return found


@pytest.mark.parametrize(
    ("name", "joined"),
    [("xl", PairedRows(zeros=True)), ("3", PairedRowsAndT5(absent=None)), ("flux", VectorAndT5()), ("pixart", MaskedT5())],
)
def test_how_texts_are_told(name: str, joined: Any, saved: dict[str, Path]) -> None:
    found: Any = open_pipeline(saved[name]).denoiser
    assert found.joined == joined


@pytest.mark.parametrize(
    ("name", "file", "change", "words"),
    [
        ("xl", "model_index.json", {"_class_name": "StableDiffusionXLImg2ImgPipeline"}, "_class_name = 'StableDiffusionXLImg2ImgPipeline'"),
        ("xl", "model_index.json", {"requires_aesthetics_score": True}, "requires_aesthetics_score"),
        ("xl", "model_index.json", {"image_encoder": ["transformers", "X"]}, "image_encoder"),
        ("xl", "model_index.json", {"colour": 1}, "nobody read colour"),
        ("xl", "model_index.json", {"_class_name": "StableDiffusionPipeline"}, "columns of the second text encoder's vector = 0"),
        ("xl", "unet/config.json", {"cross_attention_dim": 24}, "hidden_size of text_encoder and text_encoder_2 together = 20, but"),
        ("xl", "unet/config.json", {"projection_class_embeddings_input_dim": 60}, "vector = 16, but unet/config.json: .* = 12"),
        ("xl", "unet/config.json", {"in_channels": 9}, "latent_channels = 4, .* in_channels = 9"),
        ("xl", "text_encoder/config.json", {"max_position_embeddings": 20}, r"max_position_embeddings = \[12, 20\] must be the same"),
        ("3", "text_encoder/config.json", {"architectures": ["CLIPTextModel"]}, "text_encoder/config.json: architectures"),
        ("3", "text_encoder_3/config.json", {"d_model": 24}, "d_model = 24, but transformer/config.json: joint_attention_dim = 20"),
        ("3", "text_encoder_2/config.json", {"projection_dim": 15}, "projection_dim of .* = 25, but .* pooled_projection_dim = 24"),
        ("3", "transformer/config.json", {"joint_attention_dim": 16}, "joint_attention_dim = 16"),
        ("flux", "transformer/config.json", {"_class_name": "SD3Transformer2DModel"}, "a FluxPipeline has a FluxTransformer2DModel"),
        ("flux", "text_encoder/config.json", {"hidden_size": 20}, "hidden_size = 20, but .* pooled_projection_dim = 24"),
        ("pixart", "text_encoder/config.json", {"d_model": 24}, "d_model = 24, but .* caption_channels = 20"),
        ("pixart", "text_encoder/config.json", {"feed_forward_proj": "gated-tanh3"}, "feed_forward_proj"),
    ],
)
def test_what_is_not_supported(name: str, file: str, change: dict[str, Any], words: str, saved: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(saved[name], tmp_path / name, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | change))
    with pytest.raises(ConfigError, match=words):
        open_pipeline(folder)
