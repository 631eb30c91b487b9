"""One model under the names of every form in which it is published, and the text part of models that also read images."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedModel

from models.families import arch_of
from models.hf import ConfigError
from models.prefixes import canonical
from models.quant import WeightsError
from models.recipes import Copy, First, Transpose
from tests.models.test_parity import tiny
from tests.models.world import logits_of, make, ours, prompts, read_config, their_logits

TOKENS = prompts([23, 1, 7])
FORMS = ["{root}.", "", "language_model.{root}.", "{root}.language_model.", "{root}.text_model.", "language_model.", "text_model."]


def rename(directory: Path, root: str, form: str) -> None:
    """The head keeps its name, but inside a model inside another."""
    file, body = directory / "model.safetensors", form.format(root=root)
    outside = "language_model." if form.startswith("language_model") else ""
    renamed = {
        body + name.removeprefix(f"{root}.") if name.startswith(f"{root}.") else outside + name: value
        for name, value in load_file(file).items()
    }
    save_file(renamed, file)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("family", "root"), [("qwen2", "model"), ("gpt2", "transformer"), ("gpt_neox", "gpt_neox"), ("opt", "model")])
def test_every_form(form: str, family: str, root: str, tmp_path: Path) -> None:
    theirs = make(tiny(family))
    theirs.save_pretrained(tmp_path)
    rename(tmp_path, root, form)
    torch.testing.assert_close(logits_of(ours(tmp_path), TOKENS), their_logits(theirs, TOKENS), rtol=1e-4, atol=1e-4)


def test_forms_are_not_mixed() -> None:
    recipes = {"embed.weight": First((Copy("a.other"), Copy("model.embed"))), "norm": Transpose(Copy("model.norm")), "head": Copy("head.w")}
    both = canonical(recipes, {"embed": torch.zeros(1), "norm": torch.ones(1), "model.norm": torch.zeros(1), "head.w": torch.ones(1)})
    assert set(both) == {"model.embed", "model.norm", "model.model.norm", "head.w"} and both["model.norm"] == torch.ones(1)
    plain = {"x": torch.zeros(1)}
    assert canonical(recipes, plain) is plain


VISION = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
PROJECTED = {"vision_output_dim": 32, "projector_input_dim": 32, "projector_output_dim": 32, "pixel_shuffle_ratio": 0.5}
SIGLIP, PIXTRAL = {"model_type": "siglip_vision_model"}, {"model_type": "pixtral"}
WRAPPERS: dict[str, tuple[str, dict[str, Any]]] = {
    "gemma3": ("Gemma3ForConditionalGeneration", {"mm_tokens_per_image": 4, "vision_config": VISION | SIGLIP}),
    "llama4": ("Llama4ForConditionalGeneration", {"vision_config": VISION | PROJECTED}),
    "mistral": ("Mistral3ForConditionalGeneration", {"vision_config": VISION | PIXTRAL}),
}


def wrapped(family: str, directory: Path, **changes: Any) -> PreTrainedModel:
    """A model that reads images, saved."""
    text = {key: value for key, value in tiny(family).items() if key not in ("architectures", "final_logit_softcapping")}
    architecture, rest = WRAPPERS[family]
    kind = {"mistral": "mistral3"}.get(family, family)
    tied = {"tie_word_embeddings": text.get("tie_word_embeddings", family == "gemma3")}
    config = AutoConfig.for_model(kind, text_config=text, **(rest | tied | changes))
    model = AutoModelForImageTextToText.from_config(config, dtype=torch.float32, attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(noise * parameter.shape[1] ** -0.5 if parameter.dim() == 2 else parameter + 0.3 * noise)
    model.save_pretrained(directory)
    assert read_config(directory)["architectures"] == [architecture]
    return model


@pytest.mark.parametrize("family", WRAPPERS)
def test_the_text_part_of_a_model_that_reads_images(family: str, tmp_path: Path) -> None:
    theirs = wrapped(family, tmp_path)
    if family == "llama4":  # which as a whole cannot do without an image
        theirs = cast(PreTrainedModel, theirs.language_model)
    torch.testing.assert_close(logits_of(ours(tmp_path), TOKENS), their_logits(theirs, TOKENS), rtol=1e-4, atol=1e-4)


def test_gemma_3_as_it_is_published(tmp_path: Path) -> None:
    """`language_model.model.`, today `model.language_model.`: with the towers under names of their own, either way."""
    theirs = wrapped("gemma3", tmp_path)
    file = tmp_path / "model.safetensors"
    saved = load_file(file)
    assert {name.partition(".")[0] for name in saved} == {"language_model", "vision_tower", "multi_modal_projector"}
    today = {
        "model." + name.replace("language_model.model.", "language_model."): value
        for name, value in saved.items()
        if not name.startswith("language_model.lm_head")
    }
    save_file(today, file)
    torch.testing.assert_close(logits_of(ours(tmp_path), TOKENS), their_logits(theirs, TOKENS), rtol=1e-4, atol=1e-4)


def test_what_the_larger_gemmas_leave_out() -> None:
    """gemma-3-4b-it's config.json."""
    text = {"hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text", "num_hidden_layers": 34, "sliding_window": 1024}
    config = {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "boi_token_index": 255999,
        "eoi_token_index": 256000,
        "eos_token_id": [1, 106],
        "image_token_index": 262144,
        "initializer_range": 0.02,
        "mm_tokens_per_image": 256,
        "model_type": "gemma3",
        "text_config": text | {"rope_scaling": {"factor": 8.0, "rope_type": "linear"}},
        "torch_dtype": "bfloat16",
        "vision_config": {"hidden_size": 1152, "model_type": "siglip_vision_model"},
    }
    arch = arch_of(config)
    assert (arch.vocab, arch.context, arch.tied, len(arch.layers)) == (262_208, 131_072, True, 34)
    assert replace(arch, vision=None) == arch_of(
        {
            "architectures": ["Gemma3ForCausalLM"],
            **text,
            "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
            "vocab_size": 262_208,
            "head_dim": 256,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "rms_norm_eps": 1e-6,
        }
    )


def test_what_is_refused(tmp_path: Path) -> None:
    wrapped("gemma3", tmp_path)
    config = read_config(tmp_path)
    with pytest.raises(ConfigError, match=r"text_config is missing, which Gemma3ForConditionalGeneration must have"):
        arch_of({key: value for key, value in config.items() if key != "text_config"})
    with pytest.raises(ConfigError, match="nobody read audio_config"):
        arch_of(config | {"audio_config": {}})
    with pytest.raises(ConfigError, match="text_config: nobody read new"):
        arch_of(config | {"text_config": config["text_config"] | {"new": 1}})
    with pytest.raises(ConfigError, match="architecture BlipForConditionalGeneration is not supported"):
        arch_of(config | {"architectures": ["BlipForConditionalGeneration"]})
    stored = load_file(tmp_path / "model.safetensors")
    save_file(stored | {"audio_tower.weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=r"does not use: audio_tower\.weight"):
        ours(tmp_path)
