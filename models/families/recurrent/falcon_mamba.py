"""Falcon-Mamba (TII 2024, arXiv 2410.05355): Mamba with an RMSNorm without weights on what chooses step size, input and output."""

from typing import Any

from models.families.recurrent import mamba
from models.hf import Config
from models.spec import Arch, Norm

WEIGHTS, GGUF = mamba.WEIGHTS, mamba.GGUF


def arch(config: Config) -> Arch:
    return mamba.decoder(config, Norm(kind="rms_unweighted", eps=config.number("mixer_rms_eps", 1e-6)))


TINY: dict[str, Any] = mamba.TINY | {
    "architectures": ["FalconMambaForCausalLM"],
    "model_type": "falcon_mamba",
    "use_bias": False,
    "mixer_rms_eps": 1e-3,
    "tie_word_embeddings": False,
}
