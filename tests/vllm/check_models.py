"""Every family inside vLLM, by our classes and vLLM's layers: in float32 it answers what the reference backend holds for the best token,
with the same log probabilities. Not collected by itself: it needs the environment of environment.py."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from vllm import LLM, SamplingParams
from vllm.distributed import cleanup_dist_env_and_memory
from vllm.lora.request import LoRARequest
from vllm.v1.executor.uniproc_executor import UniProcExecutor

from models.families import FAMILIES, stoa
from models.reference import Reference
from models.spec import MLP, Arch, Attention, Layer, Mamba2, MoE, Parallel, Rope, Softmax, Strided
from models.stacks.decoder import Decoder
from tests.engine.tiny import filled
from tests.models import packers
from tests.models.test_json_form import tensors
from tests.models.test_parity import PHIMOE_ROPE, tiny
from tests.models.world import logits_of, make, ours
from tests.vllm.families import CANNOT

DECODERS = sorted({module.rpartition(".")[2] for module in FAMILIES.values()} - {"stoa"})
CHANGES: dict[str, dict[str, Any]] = {  # what vLLM's CPU kernels want of sizes
    "phimoe": {"rope_parameters": PHIMOE_ROPE},
    "gpt_oss": {"intermediate_size": 64},
    "jamba": {"hidden_size": 64},
    "granitemoehybrid": {"hidden_size": 64, "mamba_n_heads": 8},
    "llama4": {"attention_chunk_size": 32},
}
NO_PREFIXES = {"enable_prefix_caching": False}
OPTIONS: dict[str, dict[str, Any]] = {"kimi_linear": NO_PREFIXES}  # vLLM has no prefix cache for latents beside states on a CPU


@pytest.fixture(autouse=True, scope="module")
def one_process() -> Iterator[None]:
    """vLLM's engine and its worker in this process: a model is there in two seconds."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_MLA_DISABLE": "1"}.items():
            patch.setenv(name, value)
        yield


@contextmanager
def opened(directory: Path, **options: Any) -> Iterator[LLM]:
    name = json.loads((directory / "config.json").read_text())["architectures"][0]
    if not name.startswith("Stoa"):
        options["hf_overrides"] = {"architectures": [f"Stoa{name}"]}
    sizes: dict[str, Any] = {"max_model_len": 128, "max_num_seqs": 4, "max_num_batched_tokens": 128, "block_size": 32}
    sizes |= {"dtype": "float32", "distributed_executor_backend": UniProcExecutor}
    llm = LLM(model=str(directory), skip_tokenizer_init=True, enforce_eager=True, **(sizes | options))
    try:
        yield llm
    finally:
        del llm
        cleanup_dist_env_and_memory()


def prompts() -> list[list[int]]:
    """Some begin alike; together more than a step takes, so that they come in pieces, and more than run at once."""
    rnd = random.Random(7)
    stem = rnd.choices(range(256), k=33)
    return [stem + rnd.choices(range(256), k=n) for n in (1, 9, 12)] + [rnd.choices(range(256), k=n) for n in (20, 41)]


def difference(llm: LLM, reference: Decoder, lora: LoRARequest | None = None, near: float = 1e-3) -> float:
    """The largest, of the log probabilities of greedy answers; each of their tokens must be the reference's best, or as `near` to it."""
    asked = prompts()
    sampling = SamplingParams(temperature=0, max_tokens=14, logprobs=1, detokenize=False, ignore_eos=True)
    out = llm.generate([{"prompt_token_ids": p} for p in asked], sampling, use_tqdm=False, lora_request=lora)
    worst = 0.0
    for prompt, answer in zip(asked, out, strict=True):
        tokens = list(answer.outputs[0].token_ids)
        logits_TY = logits_of(reference, [torch.tensor(prompt + tokens[:-1])])[len(prompt) - 1 :]
        at = torch.arange(len(tokens)), torch.tensor(tokens)
        assert (logits_TY.amax(-1) - logits_TY[at]).max() < near
        theirs_T = torch.tensor([found[token].logprob for token, found in zip(tokens, answer.outputs[0].logprobs, strict=True)])
        worst = max(worst, float((logits_TY.log_softmax(-1)[at] - theirs_T).abs().max()))
    return worst


@pytest.mark.parametrize("family", [family for family in DECODERS if family not in CANNOT])
def test_a_family_answers_as_the_reference(family: str, tmp_path: Path) -> None:
    make(tiny(family, **CHANGES.get(family, {}))).save_pretrained(tmp_path)
    with opened(tmp_path, **OPTIONS.get(family, {})) as llm:
        assert difference(llm, ours(tmp_path)) < 1e-4


@pytest.mark.parametrize("family", CANNOT)
def test_what_vllm_has_no_layer_for_is_told(family: str, tmp_path: Path) -> None:
    make(tiny(family)).save_pretrained(tmp_path)
    with pytest.raises((ValueError, NotImplementedError)) as error, opened(tmp_path):
        pass
    assert CANNOT[family] in str(error.value)


@pytest.mark.parametrize("family", ["deepseek_v2", "deepseek_v3"])
def test_latents_are_kept_as_latents(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_MLA_DISABLE", "0")
    make(tiny(family, kv_lora_rank=512, qk_rope_head_dim=64)).save_pretrained(tmp_path)  # the one size of vLLM's CPU kernel
    with opened(tmp_path) as llm:
        assert difference(llm, ours(tmp_path)) < 1e-4


ATTENTION = Attention(heads=4, kv_heads=2, head_dim=32, position=Rope(dim=32), sinks=True)
MAMBA = Mamba2(heads=4, head_dim=8, state=8)
EXPERTS = MoE(experts=4, active=2, hidden=32, router=Softmax(renormalise=True))
WRITTEN = (
    Layer(mixer=MAMBA, ffn=MLP(hidden=64)),
    Layer(mixer=ATTENTION, ffn=EXPERTS),
    Layer(mixer=Parallel(mixers=(ATTENTION, MAMBA)), ffn=MLP(hidden=64), placement="sandwich"),
)


def written(layers: tuple[Layer, ...], directory: Path) -> Decoder:
    reference = filled(Arch(dim=64, vocab=256, layers=layers, context=128), Reference())
    (directory / "config.json").write_text(json.dumps(stoa.config_of(reference.arch)))
    save_file(tensors(reference), directory / "model.safetensors")
    return reference


def test_a_written_architecture_answers_as_its_reference(tmp_path: Path) -> None:
    reference = written(WRITTEN, tmp_path)
    with opened(tmp_path) as llm:
        assert difference(llm, reference) < 1e-4


def test_a_mask_that_vllm_has_not_is_told_with_its_layer(tmp_path: Path) -> None:
    strided = Attention(heads=4, kv_heads=2, head_dim=32, mask=Strided(local=4, stride=4))
    written((*WRITTEN[:2], Layer(mixer=strided, ffn=None)), tmp_path)
    with pytest.raises(ValueError, match=r"layers\.2\.mixer: vLLM has no attention with the mask Strided"), opened(tmp_path):
        pass


@pytest.mark.parametrize("method", ["gptq", "awq"])
def test_a_quantised_checkpoint_stays_packed(method: str, tmp_path: Path) -> None:
    base, packed = tmp_path / "base", tmp_path / "packed"
    make(tiny("llama", hidden_size=128, intermediate_size=256)).save_pretrained(base)
    pack(base, packed, method)
    with opened(packed, dtype="bfloat16") as llm:
        assert difference(llm, ours(packed), near=0.1) < 0.1
        assert llm.llm_engine.vllm_config.quant_config is not None


def pack(base: Path, packed: Path, method: str) -> None:
    """Every matrix of the layers as random numbers of 4 bits, in groups of 32."""
    weights, random_numbers = load_file(base / "model.safetensors"), np.random.default_rng(0)
    for stem in [name.removesuffix(".weight") for name in weights if "_proj" in name]:
        outputs, inputs = weights.pop(f"{stem}.weight").shape
        lowest, past = (8, 9) if method == "gptq" else (6, 11)  # vLLM has GPTQ with one zero only
        q_IO, zero_GO = random_numbers.integers(0, 16, (inputs, outputs)), random_numbers.integers(lowest, past, (inputs // 32, outputs))
        scales = random_numbers.uniform(0.5, 1.5, zero_GO.shape) * inputs**-0.5 / 4.6
        tensors = packers.gptq(q_IO, zero_GO, 4, 1) if method == "gptq" else packers.awq(q_IO, zero_GO)
        weights |= {f"{stem}.{name}": torch.from_numpy(value) for name, value in tensors.items()}
        weights[f"{stem}.scales"] = torch.from_numpy(scales).half()
        if method == "gptq":
            weights[f"{stem}.g_idx"] = torch.arange(inputs, dtype=torch.int32) // 32
    packed.mkdir()
    more = {"desc_act": False, "sym": True} if method == "gptq" else {"zero_point": True, "version": "gemm"}
    config = json.loads((base / "config.json").read_text())
    config["quantization_config"] = {"quant_method": method, "bits": 4, "group_size": 32, **more}
    (packed / "config.json").write_text(json.dumps(config))
    save_file(weights, packed / "model.safetensors", metadata={"format": "pt"})


def test_an_adapter_answers_as_if_it_were_part_of_the_weights(tmp_path: Path) -> None:
    base, adapter, merged = (tmp_path / name for name in ("base", "adapter", "merged"))
    make(tiny("llama")).save_pretrained(base)
    adapt(base, adapter, merged, ("q_proj", "v_proj", "up_proj", "down_proj"))
    with opened(base, enable_lora=True, max_lora_rank=8) as llm:
        assert difference(llm, ours(base)) < 1e-4
        assert difference(llm, ours(merged), LoRARequest("adapter", 1, str(adapter))) < 1e-4


def adapt(base: Path, adapter: Path, merged: Path, modules: tuple[str, ...]) -> None:
    """A random adapter in PEFT's form, and the checkpoint with it added."""
    weights, generator = load_file(base / "model.safetensors"), torch.Generator().manual_seed(1)
    found: dict[str, torch.Tensor] = {}
    for stem in [name.removesuffix(".weight") for name in weights if name.removesuffix(".weight").endswith(modules)]:
        outputs, inputs = weights[f"{stem}.weight"].shape
        a, b = torch.randn(8, inputs, generator=generator) * inputs**-0.5, torch.randn(outputs, 8, generator=generator) * 0.3
        found |= {f"base_model.model.{stem}.lora_A.weight": a, f"base_model.model.{stem}.lora_B.weight": b}
        weights[f"{stem}.weight"] = weights[f"{stem}.weight"] + 2 * (b @ a)
    adapter.mkdir()
    config = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": list(modules), "bias": "none", "task_type": "CAUSAL_LM"}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    save_file(found, adapter / "adapter_model.safetensors")
    merged.mkdir()
    (merged / "config.json").write_text((base / "config.json").read_text())
    save_file(weights, merged / "model.safetensors", metadata={"format": "pt"})
