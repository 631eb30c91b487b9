"""Which families there are. A family is a data sheet: `arch(config)`, WEIGHTS and GGUF (recipes), TINY (for tests)."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Literal, Protocol, cast

from models.families import ctranslate2
from models.families.multimodal import text_part, vision_recipes, with_vision
from models.hf import Config, ConfigError
from models.recipes import Recipes
from models.spec import Arch, Pair


class Family(Protocol):
    WEIGHTS: Recipes | Callable[[Config], Recipes]  # from Hugging Face tensor names (and numbers of config.json)
    # GGUF: Recipes, where there is one, from GGUF tensor names
    TINY: Mapping[str, Any]  # a config.json small enough for a test with random weights

    def arch(self, config: Config) -> Arch: ...


FAMILIES = {
    "StoaForCausalLM": "models.families.stoa",
    "Cohere2ForCausalLM": "models.families.dense.cohere2",
    "CohereForCausalLM": "models.families.dense.cohere",
    "Gemma2ForCausalLM": "models.families.dense.gemma2",
    "Gemma3ForCausalLM": "models.families.dense.gemma3",
    "GemmaForCausalLM": "models.families.dense.gemma",
    "Glm4ForCausalLM": "models.families.dense.glm4",
    "GlmForCausalLM": "models.families.dense.glm",
    "GraniteForCausalLM": "models.families.dense.granite",
    "LlamaForCausalLM": "models.families.dense.llama",
    "MistralForCausalLM": "models.families.dense.mistral",
    "Olmo2ForCausalLM": "models.families.dense.olmo2",
    "Olmo3ForCausalLM": "models.families.dense.olmo3",
    "Phi3ForCausalLM": "models.families.dense.phi3",
    "Qwen2ForCausalLM": "models.families.dense.qwen2",
    "Qwen3ForCausalLM": "models.families.dense.qwen3",
    "SmolLM3ForCausalLM": "models.families.dense.smollm3",
    "Starcoder2ForCausalLM": "models.families.dense.starcoder2",
    "BloomForCausalLM": "models.families.gpt.bloom",
    "FalconForCausalLM": "models.families.gpt.falcon",
    "GPT2LMHeadModel": "models.families.gpt.gpt2",
    "GPTNeoForCausalLM": "models.families.gpt.gpt_neo",
    "GPTNeoXForCausalLM": "models.families.gpt.gpt_neox",
    "MptForCausalLM": "models.families.gpt.mpt",
    "OPTForCausalLM": "models.families.gpt.opt",
    "BambaForCausalLM": "models.families.hybrid.bamba",
    "FalconH1ForCausalLM": "models.families.hybrid.falcon_h1",
    "GraniteMoeHybridForCausalLM": "models.families.hybrid.granitemoehybrid",
    "NemotronHForCausalLM": "models.families.hybrid.nemotron_h",
    "RecurrentGemmaForCausalLM": "models.families.hybrid.recurrent_gemma",
    "Zamba2ForCausalLM": "models.families.hybrid.zamba2",
    "JambaForCausalLM": "models.families.hybrid.jamba",
    "FalconMambaForCausalLM": "models.families.recurrent.falcon_mamba",
    "Lfm2ForCausalLM": "models.families.recurrent.lfm2",
    "Mamba2ForCausalLM": "models.families.recurrent.mamba2",
    "MambaForCausalLM": "models.families.recurrent.mamba",
    "KimiLinearForCausalLM": "models.families.linear.kimi_linear",
    "OlmoHybridForCausalLM": "models.families.linear.olmo_hybrid",
    "Qwen3NextForCausalLM": "models.families.linear.qwen3_next",
    "Qwen3_5ForCausalLM": "models.families.linear.qwen3_5",
    "Qwen3_5MoeForCausalLM": "models.families.linear.qwen3_5_moe",
    "RWKV7ForCausalLM": "models.families.linear.rwkv7",
    "ReformerModelWithLMHead": "models.families.gpt.reformer_lm",
    "DeepseekV2ForCausalLM": "models.families.latent.deepseek_v2",
    "DeepseekV3ForCausalLM": "models.families.latent.deepseek_v3",
    "MiniCPM3ForCausalLM": "models.families.latent.minicpm3",
    "GptOssForCausalLM": "models.families.experts.gpt_oss",
    "GraniteMoeForCausalLM": "models.families.experts.granitemoe",
    "GraniteMoeSharedForCausalLM": "models.families.experts.granitemoe",
    "Lfm2MoeForCausalLM": "models.families.experts.lfm2_moe",
    "Llama4ForCausalLM": "models.families.experts.llama4",
    "MixtralForCausalLM": "models.families.experts.mixtral",
    "OlmoeForCausalLM": "models.families.experts.olmoe",
    "PhimoeForCausalLM": "models.families.experts.phimoe",
    "PhiMoEForCausalLM": "models.families.experts.phimoe",
    "Qwen2MoeForCausalLM": "models.families.experts.qwen2_moe",
    "Qwen3MoeForCausalLM": "models.families.experts.qwen3_moe",
}


# the same for text models that are read beside what shows them images alone
BESIDE_VISION = {"MllamaForCausalLM": "models.families.vision_language.mllama"}


# the same for models that read an input before they answer it
ENCODER_DECODERS = {
    "T5ForConditionalGeneration": "models.families.encoder_decoder.t5",
    "UMT5ForConditionalGeneration": "models.families.encoder_decoder.umt5",
    "BartForConditionalGeneration": "models.families.encoder_decoder.bart",
    "MBartForConditionalGeneration": "models.families.encoder_decoder.mbart",
    "PegasusForConditionalGeneration": "models.families.encoder_decoder.pegasus",
    "MarianMTModel": "models.families.encoder_decoder.marian",
    "M2M100ForConditionalGeneration": "models.families.encoder_decoder.m2m_100",
    "WhisperForConditionalGeneration": "models.families.encoder_decoder.whisper",
}


# the same for models whose answers are denoised
TEXT_DIFFUSION = {
    "LLaDAModelLM": "models.families.text_diffusion.llada",
    "DreamModel": "models.families.text_diffusion.dream",
    "SDARForCausalLM": "models.families.text_diffusion.sdar",
}


class EncoderFamily(Protocol):
    """The same for encoders; models/encoders.py knows how a folder of theirs is read."""

    PREFIX: str  # before the names of the body's tensors where a head stands beside it; the recipes are without
    UNUSED: str  # pattern of tensors that only other heads need
    WEIGHTS: Recipes  # of the body
    HEAD: Recipes  # of the classifier
    TINY: Mapping[str, Any]

    def arch(self, config: Config) -> Arch: ...


_HEADS = ("Model", "ForMaskedLM", "ForSequenceClassification")

ENCODERS = {
    **dict.fromkeys((f"Bert{head}" for head in (*_HEADS, "ForPreTraining")), "models.families.encoders.bert"),
    **dict.fromkeys((f"Roberta{head}" for head in _HEADS), "models.families.encoders.roberta"),
    **dict.fromkeys((f"XLMRoberta{head}" for head in _HEADS), "models.families.encoders.roberta"),
    **dict.fromkeys((f"Longformer{head}" for head in _HEADS), "models.families.encoders.longformer"),
    **dict.fromkeys((f"Reformer{head}" for head in _HEADS), "models.families.encoders.reformer"),
    **dict.fromkeys((f"BigBird{head}" for head in (*_HEADS, "ForPreTraining")), "models.families.encoders.bigbird"),
    **dict.fromkeys((f"ModernBert{head}" for head in _HEADS), "models.families.encoders.modernbert"),
    **dict.fromkeys((f"DistilBert{head}" for head in _HEADS), "models.families.encoders.distilbert"),
    **dict.fromkeys((f"Albert{head}" for head in (*_HEADS, "ForPreTraining")), "models.families.encoders.albert"),
    **dict.fromkeys((f"DebertaV2{head}" for head in _HEADS), "models.families.encoders.deberta_v2"),
    **dict.fromkeys((f"NomicBert{head}" for head in _HEADS), "models.families.encoders.nomic_bert"),
    "StoaModel": "models.families.encoders.stoa_encoder",
}


# the same for encoders that read images
IMAGE_ENCODERS = {
    **dict.fromkeys((f"ViT{head}" for head in ("Model", "ForImageClassification")), "models.families.vision.vit"),
    **dict.fromkeys((f"Swin{head}" for head in ("Model", "ForImageClassification")), "models.families.vision.swin"),
    **dict.fromkeys((f"Dinov2{head}" for head in ("Model", "ForImageClassification")), "models.families.vision.dinov2"),
}


class PairFamily(Protocol):
    """Two encoders in one folder; models/pairs.py knows how it is read."""

    TEXT: Recipes
    IMAGE: Recipes
    TINY: Mapping[str, Any]

    def pair(self, config: Config) -> Pair: ...


PAIRS = {
    "CLIPModel": "models.families.vision.clip",
    "SiglipModel": "models.families.vision.siglip",
    "Siglip2Model": "models.families.vision.siglip2",
}


def family_of(config: Mapping[str, Any]) -> Family:
    """By the first entry of config.json's `architectures`."""
    name = _name(config)
    known = FAMILIES | ENCODER_DECODERS | TEXT_DIFFUSION
    if _stated(config) in BESIDE_VISION:
        raise ConfigError(f"config.json: architecture {name} is not supported without the part that reads images")
    if name not in known | BESIDE_VISION:
        raise ConfigError(f"config.json: architecture {name} is not supported, only {', '.join(known)}")
    return cast(Family, import_module((known | BESIDE_VISION)[name]))


def recipes_of(config: Mapping[str, Any], form: Literal["safetensors", "gguf", "ctranslate2"]) -> Recipes:
    """For the family of a config.json and the form of the checkpoint beside it."""
    if form == "ctranslate2":
        return ctranslate2.recipes(arch_of(config))
    family = family_of(config)
    if form == "safetensors":
        recipes = family.WEIGHTS(text_part(_stated(config), Config(config))[1]) if callable(family.WEIGHTS) else family.WEIGHTS
        vision = vision_recipes(_stated(config))
        return {**recipes, **vision} if vision else recipes  # some tables know more names than they list
    if not hasattr(family, "GGUF"):
        raise ConfigError(f"config.json: {_name(config)} is not read from GGUF files yet, only from safetensors")
    return cast(Recipes, family.GGUF)  # pyright: ignore[reportAttributeAccessIssue]


def encoder_family_of(config: Mapping[str, Any]) -> EncoderFamily:
    name = _name(config)
    known = ENCODERS | IMAGE_ENCODERS
    if name not in known:
        raise ConfigError(f"config.json: architecture {name} is not a supported encoder, only {', '.join(known)}")
    return cast(EncoderFamily, import_module(known[name]))


def pair_family_of(config: Mapping[str, Any]) -> PairFamily:
    return cast(PairFamily, import_module(PAIRS[_name(config)]))


def is_pair(config: Mapping[str, Any]) -> bool:
    """Whether a config.json describes an encoder of texts and one of images."""
    return _name(config) in PAIRS


def pair_of(config: Mapping[str, Any]) -> Pair:
    """Raises ConfigError as `arch_of` does."""
    watched = Config(config)
    pair = pair_family_of(config).pair(watched)
    watched.finish()
    return pair


def arch_of(config: Mapping[str, Any]) -> Arch:
    """The architecture that a config.json describes, decoder or encoder. Raises ConfigError when a key is missing, wrong
    or unread."""
    watched = Config(config)
    family = encoder_family_of(config) if _name(config) in ENCODERS | IMAGE_ENCODERS else family_of(config)
    arch = with_vision(_stated(config), watched, family.arch(text_part(_stated(config), watched)[1]))
    watched.finish()
    return arch


def _name(config: Mapping[str, Any]) -> str:
    """The architecture that config.json names, or that of the text model in it."""
    return text_part(_stated(config), Config(config))[0]


def _stated(config: Mapping[str, Any]) -> str:
    return (config.get("architectures") or ["(no architectures)"])[0]
