"""Recipes, and what happens when a checkpoint and an architecture do not fit."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from models.build import build
from models.families.changes import mixer
from models.quant import Grouped, Weight, quantize
from models.recipes import Cat, Copy, PerExpert, Permute, Recipe, Rows, ScaleRows, Shift, Transpose, cat
from models.reference import Reference
from models.spec import MLP, Arch, Attention, Layer
from models.stacks.decoder import Decoder
from models.weights import WeightsError, load

LAYER = Layer(mixer=Attention(heads=2, kv_heads=1, head_dim=32), ffn=MLP(hidden=64))
ARCH = Arch(dim=32, vocab=32, layers=(LAYER, LAYER), context=16)
RECIPES: dict[str, Recipe] = {
    "embed.weight": Copy("tokens"),
    "layers.{i}.norm1.weight": Copy("{i}.n1"),
    "layers.{i}.norm2.weight": Copy("{i}.n2"),
    "layers.{i}.mixer.qkv.weight": cat("{i}.q", "{i}.k", "{i}.v"),
    "layers.{i}.mixer.out.weight": Copy("{i}.o"),
    "layers.{i}.ffn.up.weight": cat("{i}.gate", "{i}.up"),
    "layers.{i}.ffn.down.weight": Copy("{i}.down"),
    "norm.weight": Copy("norm"),
    "head.weight": Copy("logits"),
}
SHAPES = {"q": (64, 32), "k": (32, 32), "v": (32, 32), "o": (32, 64), "gate": (64, 32), "up": (64, 32), "down": (32, 64)}


def checkpoint() -> dict[str, Weight]:
    shapes = {f"{i}.{name}": shape for i in range(2) for name, shape in {**SHAPES, "n1": (32,), "n2": (32,)}.items()}
    shapes |= {"tokens": (32, 32), "norm": (32,), "logits": (32, 32)}
    return {name: torch.randn(shape) for name, shape in shapes.items()}


def filled(weights: Mapping[str, Weight], arch: Arch = ARCH, recipes: Mapping[str, Recipe] = RECIPES) -> Decoder:
    model = build(arch, Reference(), context=16)
    load(model, arch, recipes, weights)
    return model


def made(recipe: Recipe, weights: Mapping[str, Weight]) -> Tensor:
    """What a recipe makes, seen in the place of the last layer's out matrix."""
    others = {name: weight for name, weight in checkpoint().items() if not name.endswith(".o")}
    both = {f"{i}.{name}": weight for i in range(2) for name, weight in weights.items()}
    model = filled(others | both, recipes=RECIPES | {"layers.{i}.mixer.out.weight": recipe})
    return model.get_buffer("layers.1.mixer.out.weight")


def test_every_tensor_arrives() -> None:
    weights = checkpoint()
    model = filled(weights)
    qkv = torch.cat([weights[f"1.{name}"] for name in "qkv"])  # type: ignore[arg-type]
    assert torch.equal(model.get_buffer("layers.1.mixer.qkv.weight"), qkv)
    assert torch.equal(model.get_parameter("layers.0.norm2.weight"), weights["0.n2"])  # type: ignore[arg-type]
    assert torch.equal(model.get_buffer("head.weight"), weights["logits"])  # type: ignore[arg-type]


def test_recipes() -> None:
    a, b, t = torch.randn(16, 64), torch.randn(16, 64), torch.randn(64, 32)
    weights = {"a": a, "b": b}
    assert torch.equal(made(cat("{i}.a", "{i}.b"), weights), torch.cat([a, b]))
    assert torch.equal(made(Shift(cat("{i}.a", "{i}.b"), 1.0), weights), torch.cat([a, b]) + 1)
    scaled = made(ScaleRows(cat("{i}.a", "{i}.b"), ((16, 0.5), (16, 3.0))), weights)
    assert torch.equal(scaled, torch.cat([0.5 * a, 3 * b]))
    packed = quantize(a, 8)
    torch.testing.assert_close(made(ScaleRows(cat("{i}.a", "{i}.a"), ((32, 0.7),)), {"a": packed}), packed.dequantize().repeat(2, 1) * 0.7)
    assert torch.equal(made(Rows(Copy("{i}.r"), 3), {"r": torch.cat([torch.ones(3, 64), a, b])}), torch.cat([a, b]))
    assert torch.equal(made(Transpose(Copy("{i}.t")), {"t": t}), t.T)


def test_permute_undoes_pairs() -> None:
    """Rows 0, 1, 2, 3 ... of a head hold the rotary elements 0, K/2, 1, K/2 + 1 ..."""
    straight = torch.arange(32.0)[:, None] * torch.ones(64)
    paired = straight.unflatten(0, (2, 16)).transpose(0, 1).flatten(0, 1)
    assert torch.equal(made(Permute(Copy("{i}.p")), {"p": paired}), straight)


def test_experts_need_a_layer_that_has_some() -> None:
    recipes = RECIPES | {"layers.{i}.mixer.out.weight": PerExpert(Copy("{i}.o.{e}"))}
    with pytest.raises(WeightsError, match=r"layers\.0\.mixer\.out\.weight: MLP has no experts"):
        filled(checkpoint(), recipes=recipes)


class Recorder(Reference):
    """Keeps what arrives, to see whether it is still quantized."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived: dict[str, Weight] = {}

    def linear(self, name: str, *args: object, **options: object) -> torch.nn.Module:
        leaf = super().linear(name, *args, **options)  # type: ignore[arg-type]
        leaf.assign = lambda field, value: self.arrived.update({f"{name}.{field}": value})  # type: ignore[assignment]
        return leaf


@pytest.mark.parametrize("bits", [(4, 4), (4, 8)])
def test_quantized_parts_stay_quantized(bits: tuple[int, int]) -> None:
    weights = checkpoint()
    q, k, v = (quantize(weights[f"0.{name}"], b) for name, b in zip("qkv", (*bits, bits[0]), strict=True))  # type: ignore[arg-type]
    recipes = RECIPES | {"layers.{i}.mixer.qkv.weight": Cat((Permute(Copy("{i}.q")), Copy("{i}.k"), Copy("{i}.v")))}
    backend = Recorder()
    load(build(ARCH, backend, context=16), ARCH, recipes, weights | {"0.q": q, "0.k": k, "0.v": v})
    qkv = backend.arrived["layers.0.mixer.qkv.weight"]
    assert isinstance(qkv, Grouped) and qkv.bits == max(bits)
    rows = torch.arange(64).view(2, 16, 2).transpose(1, 2).flatten()
    assert torch.equal(qkv.dequantize(), torch.cat([q.dequantize()[rows], k.dequantize(), v.dequantize()]))


def test_mixed_parts_become_dense() -> None:
    weights = checkpoint()
    q = quantize(weights["0.q"], 4)  # type: ignore[arg-type]
    qkv = filled(weights | {"0.q": q}).get_buffer("layers.0.mixer.qkv.weight")
    assert torch.equal(qkv[:64], q.dequantize())


def test_missing() -> None:
    weights = checkpoint()
    del weights["1.k"]
    with pytest.raises(WeightsError, match=r"no tensor 1\.k, which layers\.1\.mixer\.qkv\.weight is made from"):
        filled(weights)


def test_leftover() -> None:
    with pytest.raises(WeightsError, match=r"1 tensors that this architecture does not use: 0\.q_bias"):
        filled(checkpoint() | {"0.q_bias": torch.zeros(64)})


def test_missing_bias() -> None:
    arch = replace(ARCH, layers=(mixer(LAYER, bias=True),) * 2)
    with pytest.raises(WeightsError, match=r"no recipe for layers\.\{i\}\.mixer\.qkv\.bias"):
        filled(checkpoint(), arch)


@pytest.mark.parametrize("name", ["0.n1", "0.o", "tokens"])
def test_wrong_shape(name: str) -> None:
    """Also one that torch would stretch silently."""
    with pytest.raises(WeightsError, match="must have shape"):
        filled(checkpoint() | {name: torch.zeros(1)})


def test_computed_tables_are_left_alone() -> None:
    filled(checkpoint() | {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.zeros(16), "rope_freqs.weight": torch.ones(16)})


def test_tied() -> None:
    weights, tied = checkpoint(), replace(ARCH, tied=True)
    filled({name: weight for name, weight in weights.items() if name != "logits"}, tied)
    filled(weights | {"logits": weights["tokens"]}, tied)
    with pytest.raises(WeightsError, match="tie_word_embeddings is true, but logits differs from tokens"):
        filled(weights, tied)


class Counted(Mapping[str, Weight]):
    def __init__(self, weights: Mapping[str, Weight]) -> None:
        self.weights, self.reads = weights, list[str]()

    def __getitem__(self, name: str) -> Weight:
        self.reads.append(name)
        return self.weights[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.weights)

    def __len__(self) -> int:
        return len(self.weights)


def test_reads_each_tensor_once() -> None:
    weights = Counted(checkpoint())
    filled(weights)
    assert sorted(weights.reads) == sorted(weights)
