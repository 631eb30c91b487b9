"""The oracle of RWKV-7, its makers' own package, with random weights."""

import json
import os
import re
import tempfile
import warnings
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor


class Rwkv7:
    """As much of transformers' models as the tests ask of it. Tensors have the names of its makers' files."""

    config = SimpleNamespace(model_type="rwkv7")

    def __init__(self, values: Mapping[str, Any], seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.values, shapes = values, _shapes(values)
        self.tensors = {name: torch.randn(s, generator=generator) * (s[-2] ** -0.5 if len(s) == 2 else 0.4) for name, s in shapes.items()}
        for name in self.tensors:
            if "ln" in name and name.endswith("weight"):
                self.tensors[name] += 1
        self._model = _loaded(self.tensors)

    def __call__(self, tokens_1T: Tensor) -> SimpleNamespace:
        with torch.no_grad():
            logits = self._model.forward(tokens_1T[0].tolist(), None, full_output=True)[0]
        return SimpleNamespace(logits=logits.view(1, -1, logits.shape[-1]))

    def save_pretrained(self, directory: Path, **_: Any) -> None:
        self._save(directory, self.tensors)

    def save_for_hugging_face(self, directory: Path) -> None:
        """Under the names of their folders."""
        self._save(directory, dict(_renamed(name, t) for name, t in self.tensors.items() if not re.match(r"blocks\.0\.att\.v\d", name)))

    def _save(self, directory: Path, tensors: Mapping[str, Tensor]) -> None:
        (directory / "config.json").write_text(json.dumps(dict(self.values)))
        save_file(dict(tensors), directory / "model.safetensors")


_NAMES = {"emb": "model.embeddings", "head": "lm_head", "ln_out": "model.norm", "ln0": "pre_norm", "ln1": "attn_norm", "ln2": "ffn_norm"}
_NAMES |= {"att.ln_x": "attn.g_norm", "att.receptance": "attn.r_proj", "att.key": "attn.k_proj", "att.value": "attn.v_proj"}
_NAMES |= {"att.output": "attn.o_proj"}


def _renamed(name: str, tensor: Tensor) -> tuple[str, Tensor]:
    block, _, rest = re.fullmatch(r"((blocks\.\d+\.)?)(.*)", name).groups()  # type: ignore[union-attr]
    layer, (part, _, field) = block.replace("blocks", "model.layers"), rest.rpartition(".")
    if lora := re.fullmatch(r"([wavg])([012])", field):
        place = ("2.bias", "0.weight", "2.weight")[int(lora[2])]
        return f"{layer}attn.{lora[1]}_lora.lora.{place}", (tensor.T.contiguous() if tensor.dim() == 2 else tensor.flatten())
    if field in ("k_k", "k_a") or rest == "ffn.x_k":
        tensor = tensor.flatten()
    return f"{layer}{_NAMES.get(part, part.replace('att', 'attn'))}.{field}", tensor


def _loaded(tensors: Mapping[str, Tensor]) -> Any:
    os.environ.update(RWKV_V7_ON="1", RWKV_JIT_ON="0", RWKV_CUDA_ON="0")
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as directory:
        warnings.simplefilter("ignore")  # it is written for an older torch
        torch.save(dict(tensors), f"{directory}/model.pth")
        return import_module("rwkv.model").RWKV(model=f"{directory}/model", strategy="cpu fp32")


def _shapes(values: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    d, f, k, v = (values[key] for key in ("hidden_size", "intermediate_size", "head_dim", "vocab_size"))
    ranks = {letter: values[f"{name}_low_rank_dim"] for letter, name in {"w": "decay", "a": "a", "v": "v", "g": "gate"}.items()}
    found: dict[str, tuple[int, ...]] = {"emb.weight": (v, d), "head.weight": (v, d)}
    norms = ["blocks.0.ln0", "ln_out"]
    for i in range(values["num_hidden_layers"]):
        block = f"blocks.{i}."
        norms += [block + name for name in ("ln1", "ln2", "att.ln_x")]
        vectors = [f"att.x_{role}" for role in "rwkvag"] + ["att.k_k", "att.k_a", "ffn.x_k", "att.w0", "att.a0", "att.v0"]
        found |= {block + name: (1, 1, d) for name in vectors} | {block + "att.r_k": (d // k, k)}
        found |= {f"{block}att.{letter}1": (d, r) for letter, r in ranks.items()} | {f"{block}att.{x}2": (r, d) for x, r in ranks.items()}
        found |= {f"{block}att.{name}.weight": (d, d) for name in ("receptance", "key", "value", "output")}
        found |= {block + "ffn.key.weight": (f, d), block + "ffn.value.weight": (d, f)}
    return found | {f"{norm}.{field}": (d,) for norm in norms for field in ("weight", "bias")}
