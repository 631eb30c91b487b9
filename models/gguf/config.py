"""What `stoa pull` makes of a GGUF file's metadata: a config.json in Hugging Face's form."""

from collections.abc import Callable
from typing import Any

from gguf import GGUFReader

from models.gguf import dense, recurrent, sparse
from models.gguf.metadata import File, Values, architecture, refused

Read = Callable[[File], Values]

# the architecture's name in GGUF -> how it says what it is; `architectures` and `model_type` are among the answers
ARCHITECTURES: dict[str, Read] = {
    "llama": dense.llama,
    "qwen2": dense.qwen2,
    "qwen3": dense.qwen3,
    "gemma": dense.gemma,
    "gemma2": dense.gemma2,
    "gemma3": dense.gemma3,
    "phi3": dense.phi3,
    "starcoder2": dense.starcoder2,
    "olmo2": dense.olmo2,
    "command-r": dense.command_r,
    "cohere2": dense.cohere2,
    "chatglm": dense.glm,
    "glm4": dense.glm4,
    "smollm3": dense.smollm3,
    "granite": dense.granite,
    "gpt2": dense.gpt2,
    "gptneox": dense.gpt_neox,
    "bloom": dense.bloom,
    "falcon": dense.falcon,
    "mpt": dense.mpt,
    "qwen2moe": sparse.qwen2_moe,
    "qwen3moe": sparse.qwen3_moe,
    "olmoe": sparse.olmoe,
    "gpt-oss": sparse.gpt_oss,
    "granitemoe": sparse.granite_moe,
    "phimoe": sparse.phimoe,
    "llama4": sparse.llama4,
    "deepseek2": sparse.deepseek,
    "minicpm3": sparse.minicpm3,
    "mamba": recurrent.mamba,
    "mamba2": recurrent.mamba2,
    "lfm2": recurrent.lfm2,
    "jamba": recurrent.jamba,
    "granitehybrid": recurrent.granite_hybrid,
    "falcon-h1": recurrent.falcon_h1,
    "nemotron_h": recurrent.nemotron_h,
    "nemotron_h_moe": recurrent.nemotron_h,
    "lfm2moe": recurrent.lfm2_moe,
    "qwen3next": recurrent.qwen3_next,
    "kimi-linear": recurrent.kimi_linear,
    "qwen35": recurrent.qwen3_5,
    "qwen35moe": recurrent.qwen3_5_moe,
}


def config_from_metadata(reader: GGUFReader, *pieces: GGUFReader) -> dict[str, Any]:
    """config.json for the model in `reader` (and `pieces`, where it is split). Raises ConfigError when the file
    describes an architecture that is not supported, or says something about it that nobody here reads."""
    kind = architecture(reader)
    if kind not in ARCHITECTURES:
        raise refused(kind, iter(ARCHITECTURES))
    file = File.read(kind, reader, *pieces)
    config = {key: value for key, value in (ARCHITECTURES[kind](file) | file.tokens).items() if value is not None}
    file.meta.finish()
    return config
