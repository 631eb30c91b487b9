"""Adding a family that is built like Llama: a data sheet and one line in `FAMILIES`, here as a dict."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from models import families
from models.families.changes import each, ffn
from models.families.dense import llama
from models.hf import Config
from models.recipes import Copy
from models.spec import Arch
from tests.models.test_parity import agree


def arch(config: Config) -> Arch:
    """Arcee (Arcee AI 2025): Llama with squared ReLU and no gate."""
    config.only("hidden_act", "relu2")
    bias = config.flag("attention_bias", False)
    base = llama.decoder(config, bias=bias, out_bias=bias, mlp_bias=config.flag("mlp_bias", False))
    return each(base, lambda layer: ffn(layer, activation="relu2", gated=False))


SHEET: dict[str, Any] = {
    "arch": arch,
    "WEIGHTS": {**llama.WEIGHTS, "layers.{i}.ffn.up.weight": Copy("model.layers.{i}.mlp.up_proj.weight")},
    "TINY": llama.TINY | {"architectures": ["ArceeForCausalLM"], "model_type": "arcee", "hidden_act": "relu2"},
}


def test_from_a_dict(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sheet = ModuleType("arcee")
    vars(sheet).update(SHEET)
    monkeypatch.setitem(sys.modules, sheet.__name__, sheet)
    monkeypatch.setitem(families.FAMILIES, "ArceeForCausalLM", sheet.__name__)
    agree(tmp_path, SHEET["TINY"])
