"""Architectures written out in config.json."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from safetensors.torch import save_file

from models.build import build
from models.families import ENCODERS, FAMILIES, IMAGE_ENCODERS, PAIRS, arch_of, encoder_family_of, family_of, pair_family_of, pair_of, stoa
from models.hf import ConfigError
from models.reference import Reference
from models.spec import Arch, LongRope
from models.spec.check import check, problems
from models.spec.json_form import SpecError, from_json, to_json
from models.stacks.decoder import Decoder
from tests.engine.mixes import archs
from tests.models.world import logits_of, ours, prompts


@given(arch=archs)
@settings(max_examples=100, deadline=None, database=None)
def test_any_mix_comes_back(arch: Arch) -> None:
    written = json.loads(json.dumps(to_json(arch)))
    assert from_json(written) == arch
    assert list(problems(arch)) == []


@pytest.mark.parametrize("architecture", [*FAMILIES, *ENCODERS, *IMAGE_ENCODERS])
def test_every_family_can_be_written_out(architecture: str) -> None:
    family = family_of if architecture in FAMILIES else encoder_family_of
    arch = arch_of({**family({"architectures": [architecture]}).TINY, "architectures": [architecture]})
    assert arch_of(json.loads(json.dumps(stoa.config_of(arch)))) == arch


@pytest.mark.parametrize("architecture", PAIRS)
def test_both_of_a_pair_can_be_written_out(architecture: str) -> None:
    pair = pair_of(pair_family_of({"architectures": [architecture]}).TINY)
    for arch in (pair.text, pair.image):
        assert arch_of(json.loads(json.dumps(stoa.config_of(arch)))) == arch


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"vocab": 5}, "arch.vocab must be left out"),
        ({"context": 5}, "arch.context = 5 must be 37"),
        ({"patches": {"size": 0, "grid": {"rows": 6, "columns": 6}, "class_token": True}}, "arch.patches.size = 0 must be positive"),
        ({"output": {"type": "Next"}}, "arch.patches must be null"),
    ],
)
def test_what_cannot_be_read_of_images(changes: dict[str, Any], problem: str) -> None:
    written = to_json(pair_of(pair_family_of({"architectures": ["CLIPModel"]}).TINY).image) | changes
    with pytest.raises(SpecError, match=re.escape(problem)):
        check(from_json(written))


def test_equal_layers_are_written_once() -> None:
    assert stoa.config_of(arch_of(stoa.TINY)) == stoa.TINY
    assert [run.get("times", 1) for run in stoa.TINY["arch"]["layers"]] == [2, 1]


def test_a_folder_with_our_own_names(tmp_path: Path) -> None:
    """What a researcher saves from a model of theirs is what is served."""
    arch = arch_of(stoa.TINY)
    model = filled(build(arch, Reference(), context=128))
    (tmp_path / "config.json").write_text(json.dumps(stoa.TINY))
    save_file(tensors(model), tmp_path / "model.safetensors")
    tokens = prompts([23, 1, 7])
    torch.testing.assert_close(logits_of(ours(tmp_path), tokens), logits_of(model, tokens))


def filled(model: Decoder) -> Decoder:
    for tensor in tensors(model).values():
        tensor.copy_(torch.randn(tensor.shape) * tensor.shape[-1] ** -0.5)
    return model


def tensors(model: Decoder) -> dict[str, torch.Tensor]:
    computed = dict(model.named_buffers()).keys() - model.state_dict().keys()
    return {name: t for name, t in (*model.named_buffers(), *model.named_parameters()) if name not in computed}


RWKV = {"type": "Rwkv7", "heads": 6, "head_dim": 10, "decay_rank": 3, "rate_rank": 2, "gate_rank": 4}
LINEAR = {"type": "LinearAttention", "heads": 6, "key_heads": 2, "key_dim": 8, "value_dim": 5}
FIRST = ("arch", "layers", 0)
LSH = {"type": "LshAttention", "heads": 2, "head_dim": 8, "mask": {"type": "Sorted", "size": 4}, "rounds": 1, "buckets": [4]}
LONG = {"type": "LongConv", "channels": 8, "filter": {"length": 128}}
MOE = stoa.TINY["arch"]["layers"][0]["ffn"]
ATTENTION = {"heads": 4, "kv_heads": 2, "head_dim": 8}
BLOCK = {"attention": ATTENTION, "ffn": {"hidden": 20}, "rank": 3}
ALONE = {"mixer": {"type": "ShortConv", "channels": 9}, "ffn": None}
CONV = {"type": "ShortConv", "channels": 9}
WRONG: list[tuple[tuple[str | int, ...], Any, str]] = [
    (("stoa_version",), 2, "stoa_version must be 1"),
    (("arch",), [], r"arch must be an object, not \[\]"),
    (("arch", "dimm"), 3, r"arch\.dimm is unknown \(did you mean dim\?\); Arch has dim, vocab"),
    (("arch", "dim"), 0, r"arch\.dim = 0 must be positive"),
    (("arch", "layers"), [], r"arch\.layers must be a list of at least one layer"),
    (("arch", "layers", 1), "pre", r"arch\.layers\[1\] must be an object, not 'pre'"),
    (("arch", "output"), {"type": "Pooled"}, r'architectures must be \["StoaModel"\] where arch\.output is a Pooled'),
    ((*FIRST, "times"), 0, r"arch\.layers\[0\]\.times must be an integer from 1 to 1000, not 0"),
    ((*FIRST, "placement"), "before", r"layers\[0\]\.placement must be \"pre\" or .*, not 'before'"),
    (
        (*FIRST, "mixer", "type"),
        "Atention",
        r"layers\[0\]\.mixer\.type must be Attention or LatentAttention or .* \(did you mean Attention",
    ),
    ((*FIRST, "mixer", "heads"), "6", r"mixer\.heads must be an integer, not '6'"),
    ((*FIRST, "mixer", "heads"), True, r"mixer\.heads must be an integer, not True"),
    ((*FIRST, "mixer", "heads"), 5, r"mixer\.heads = 5 is no multiple of kv_heads = 2"),
    ((*FIRST, "mixer", "mask"), {"type": "Full"}, r"mixer\.mask sees tokens ahead"),
    ((*FIRST, "mixer", "mask"), {"type": "GroupedWindow", "sizes": [3]}, r"mixer\.mask\.sizes must have kv_heads = 2 numbers, not 1"),
    ((*FIRST, "mixer", "mask"), {"type": "GroupedWindow", "sizes": [3, "4"]}, r"mixer\.mask\.sizes\[1\] must be an integer, not '4'"),
    ((*FIRST, "mixer", "position"), {"type": "Rope", "dim": 7}, r"mixer\.position\.dim = 7 must be even, and at most head_dim = 12"),
    ((*FIRST, "ffn", "router"), "softmax", r"ffn\.router must be an object of type Softmax, Sigmoid, .*, not 'softmax'"),
    ((*FIRST, "ffn", "latent"), 0, r"ffn\.latent = 0 must be positive"),
    ((*FIRST, "ffn"), {**MOE, "gated": False, "activation": {"type": "Clamped"}}, r"ffn\.gated must be true: the clamped activation"),
    ((*FIRST, "block"), BLOCK, r"layers\[0\]\.block can only be beside a mixer without a feed-forward part"),
    ((*FIRST,), ALONE | {"block": BLOCK | {"rank": 0}}, r"block\.rank = 0 must be positive"),
    ((*FIRST,), ALONE | {"block": BLOCK | {"weights_of": 0}}, r"block\.weights_of = 0 must be the number of an earlier layer whose block"),
    ((*FIRST,), ALONE | {"block": BLOCK | {"ffn": {"hidden": 0}}}, r"layers\[0\]\.block\.ffn\.hidden = 0 must be positive"),
    (
        (*FIRST,),
        ALONE | {"block": BLOCK | {"attention": ATTENTION | {"position": {"type": "RelativeBias"}}}},
        r"block\.attention\.position must be Rope, Alibi or null",
    ),
    (
        (*FIRST,),
        ALONE | {"block": BLOCK | {"attention": ATTENTION | {"heads": 5}}},
        r"layers\[0\]\.block\.attention\.heads = 5 is no multiple of kv_heads = 2",
    ),
    ((*FIRST, "weights_of"), 0, r"layers\[0\]\.weights_of = 0 must be the number of an earlier layer"),
    (("arch", "layers", 1, "weights_of"), 0, r"layers\[2\]\.weights_of = 0 must be the number of a layer that is built alike"),
    ((*FIRST, "ffn", "active"), 9, r"ffn\.active = 9 is more than experts = 5"),
    ((*FIRST, "ffn", "router"), {"type": "Softmax", "groups": {"count": 2, "active": 1}}, r"ffn\.router\.groups must divide experts = 5"),
    (("arch", "layers", 1, "mixer"), {"type": "LatentAttention"}, r"layers\[1\]\.mixer\.heads is missing: an integer"),
    (("arch", "layers", 1, "placement"), "reversible", r"layers must all have the placement reversible, or none of them"),
    (
        ("arch", "position"),
        {"type": "Axial", "rows": 16, "columns": 8, "row_dim": 9, "column_dim": 9},
        r"position must have a row_dim and a c.* 60",
    ),
    ((*FIRST, "mixer"), LSH | {"buckets": [3]}, r"mixer\.buckets must be even numbers"),
    ((*FIRST, "mixer"), LSH | {"mask": {"type": "Sorted", "size": 0}}, r"mixer\.mask\.size = 0 must be positive"),
    ((*FIRST, "mixer"), LONG | {"filter": {"length": 99}}, r"mixer\.filter\.length = 99 is less than context = 128"),
    ((*FIRST, "mixer"), LONG | {"order": 1}, r"mixer\.order must be 2 at least"),
    ((*FIRST, "mixer"), LINEAR | {"key_heads": 4}, r"mixer\.heads = 6 is no multiple of key_heads = 4"),
    ((*FIRST, "mixer"), LINEAR | {"kernel": 1}, r"mixer\.kernel = 1 must be 2 at least"),
    ((*FIRST, "mixer"), LINEAR | {"position": {"type": "Rope", "dim": 12}}, r"position\.dim = 12 must be even, and at most key_dim = 8"),
    ((*FIRST, "mixer"), LINEAR | {"decay": {"type": "ChannelDecay", "rank": 0}}, r"mixer\.decay\.rank = 0 must be positive"),
    ((*FIRST, "mixer"), LINEAR | {"gate": {"rank": 0}}, r"mixer\.gate\.rank = 0 must be positive"),
    ((*FIRST, "mixer"), RWKV | {"heads": 4}, r"mixer\.heads = 4 times head_dim = 10 must be dim = 60"),
    ((*FIRST, "mixer"), RWKV | {"first": {"rank": 0}}, r"mixer\.first\.rank = 0 must be positive"),
    ((*FIRST, "mixer"), RWKV | {"first": {"rank": 2}}, r"mixer\.first must be null: no earlier layer has values"),
    ((*FIRST, "ffn"), {"type": "MLP", "hidden": 8, "shift": {"channels": 8}}, r"ffn\.shift\.channels = 8 must be dim = 60"),
    ((*FIRST,), ALONE | {"block": BLOCK | {"ffn": {"hidden": 20, "shift": {"channels": 60}}}}, r"block\.ffn\.shift must be null"),
    ((*FIRST, "mixer"), {"type": "S4", "channels": 8, "state": 4}, r"mixer\.channels = 8 must be dim = 60"),
    ((*FIRST, "mixer"), {"type": "Parallel", "mixers": [CONV]}, r"mixer\.mixers must be two at least"),
    ((*FIRST, "mixer"), {"type": "Parallel", "mixers": [CONV, CONV | {"kernel": 1}]}, r"mixer\.mixers\[1\]\.kernel = 1 must be 2 at least"),
    (
        (*FIRST, "mixer"),
        {"type": "Parallel", "mixers": [{"type": "Parallel", "mixers": []}]},
        r"mixer\.mixers\[0\]\.type must be Attention",
    ),
    (("arch", "layers"), [{"mixer": None, "ffn": None}], r"layers must have a mixer in one of them"),
    (("arch", "layers", 1, "ffn"), None, r"layers\[2\]\.placement = parallel needs a mixer and a feed-forward part"),
    (("arch", "layers", 1), {"mixer": None, "ffn": None}, r"layers\[2\]\.ffn must not be null where mixer is null"),
    (("arch", "position"), {"type": "Learned", "count": 8}, r"position\.count = 8 is less than context = 128"),
]


@pytest.mark.parametrize(
    ("path", "value", "message"), WRONG, ids=[".".join(map(str, path)) + f"-{i}" for i, (path, _, _) in enumerate(WRONG)]
)
def test_errors_name_the_path(path: tuple[str | int, ...], value: Any, message: str) -> None:
    config = copy.deepcopy(stoa.TINY)
    place: Any = config
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ConfigError, match=message):
        arch_of(config)


def test_longrope_needs_a_factor_for_each_frequency() -> None:
    scaling = LongRope(original=16, short=(1.0,), long=(1.0, 2.0), short_amplitude=1.0, long_amplitude=1.0)
    config = copy.deepcopy(stoa.TINY)
    mixer = config["arch"]["layers"][0]["mixer"]
    mixer["position"] = {"type": "Rope", "dim": 4, "scaling": {"type": "LongRope", **vars(scaling), "short": [1.0], "long": [1.0, 2.0]}}
    with pytest.raises(ConfigError, match=r"position\.scaling\.short must have 2 numbers, one for each frequency, not 1"):
        arch_of(config)
