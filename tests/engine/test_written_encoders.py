"""Encoders that nobody published: any mix in plain torch equals the reference, and a folder whose config.json writes one out
runs on the kernels or, where they lack a part, in torch."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from engine.embedded.encoder.load import load_encoder
from engine.embedded.encoder.native import supports_encoder
from engine.embedded.encoder.on_torch import TorchEncoderBackend
from models.build import build_encoder
from models.families import stoa
from models.reference import Reference, whole
from models.spec import (
    MLP,
    Alibi,
    Arch,
    Attention,
    Causal,
    Classifier,
    Dense,
    Disentangled,
    Full,
    LatentAttention,
    Layer,
    MoE,
    Neighbourhood,
    Ngrams,
    Norm,
    Pooled,
    RelativeBias,
    Sinusoidal,
    Softmax,
    map_mixers,
)
from models.spec.check import problems
from models.stacks.encoder import Encoder
from tests.engine.mixes import attending_archs
from tests.engine.test_encoder import EXACT, FAST, needs_kernels, rows, sentences
from tests.engine.tiny import CONTEXT, CPU, fill

outputs = st.sampled_from(
    [
        Pooled(),
        Pooled(pooling=("cls", "max"), layers=(Dense(width=5, activation="relu", norm=Norm(kind="layer")),), normalize=True),
        Classifier(labels=3, hidden=Dense(width=7, activation="tanh")),
    ]
)


@st.composite
def encoders(draw: st.DrawFn) -> Arch:
    """Decoders turned into encoders: most of their layers look ahead, too."""
    found = draw(attending_archs)
    layers = [
        map_mixers(layer, lambda one: replace(one, mask=draw(st.sampled_from([Full(), Neighbourhood(distance=3), one.mask]))))
        for layer in found.layers
    ]
    if found.layers[-1].weights_of is not None:
        layers[-1] = replace(layers[0], weights_of=0)
    ngrams = draw(st.none() | st.builds(Ngrams, kernel=st.sampled_from([1, 3, 5]), norm=st.just(Norm(kind="layer"))))
    return replace(found, layers=tuple(layers), tied=False, output=draw(outputs), segments=draw(st.sampled_from([0, 2])), ngrams=ngrams)


def made(arch: Arch, backend: Reference | TorchEncoderBackend) -> Encoder:
    return fill(build_encoder(arch, backend, context=CONTEXT))


LENGTHS = [23, 1, 40, 2, 9]


@given(arch=encoders())
@settings(max_examples=60, deadline=None, database=None)
def test_any_encoder_is_what_the_reference_says(arch: Arch) -> None:
    assert list(problems(arch)) == []
    batch, tokens_T = whole(LENGTHS, torch.arange(sum(LENGTHS)) % 2), torch.arange(sum(LENGTHS)) * 7 % 96
    with torch.inference_mode():
        got, want = (
            model.output(model(tokens_T, batch), batch)
            for model in (made(arch, TorchEncoderBackend(CPU, torch.float64)), made(arch, Reference(torch.float64)))
        )
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


PLAIN = Attention(heads=4, kv_heads=2, head_dim=16, mask=Full())
LAYER = Layer(mixer=PLAIN, ffn=MLP(hidden=96), norm=Norm(kind="layer"))
BASE = Arch(dim=64, vocab=256, layers=(LAYER,) * 2, output=Pooled(), context=128)
LATENT = LatentAttention(heads=2, kv_rank=32, rope_dim=16, nope_dim=16, value_dim=16, mask=Full())


def mixed(mixer: Attention | LatentAttention) -> Arch:
    return replace(BASE, layers=(LAYER, replace(LAYER, mixer=mixer)))


OTHERS = {
    "experts": replace(BASE, layers=(LAYER, replace(LAYER, ffn=MoE(experts=4, active=2, hidden=32, router=Softmax())))),
    "latents": mixed(LATENT),
    "disentangled": mixed(replace(PLAIN, position=Disentangled(span=8))),
    "alibi": mixed(replace(PLAIN, position=Alibi())),
    "gate": mixed(replace(PLAIN, gate="channel")),
    "sinks": mixed(replace(PLAIN, sinks=True)),
    "causal": mixed(replace(PLAIN, mask=Causal())),
    "ngrams": replace(BASE, ngrams=Ngrams(kernel=3, norm=Norm(kind="layer"))),
}


def saved(arch: Arch, folder: Path) -> Encoder:
    model = made(arch, Reference())
    (folder / "config.json").write_text(json.dumps(stoa.config_of(arch)))
    computed = {name for name, _ in model.named_buffers() if name.endswith(("table_PR", "table_PD"))}
    tensors = {name: t for name, t in (*model.named_buffers(), *model.named_parameters()) if name not in computed}
    save_file(tensors, folder / "model.safetensors")
    return model


def reference(model: Encoder) -> Tensor:
    batch = sentences()
    with torch.no_grad():
        inputs = [(torch.tensor(s.tokens), whole([len(s.tokens)])) for s in batch]
        return torch.cat([model.output(model(tokens_T, one), one) for tokens_T, one in inputs])


@pytest.mark.parametrize("name", OTHERS)
def test_a_written_encoder_without_kernels(name: str, tmp_path: Path) -> None:
    want = reference(saved(OTHERS[name], tmp_path))
    loaded = load_encoder(tmp_path, FAST)
    assert not supports_encoder(OTHERS[name]) and loaded.recorder is None
    torch.testing.assert_close(rows(loaded, sentences()), want, rtol=1e-4, atol=1e-4)


FITTING = {
    "a layer again": replace(
        BASE, layers=(LAYER, replace(LAYER, weights_of=0)), output=Classifier(labels=3, hidden=Dense(width=64, activation="relu"))
    ),
    "relative": mixed(replace(PLAIN, position=RelativeBias(buckets=8, max_distance=20), scale=0.5)),
    "sinusoids": replace(BASE, position=Sinusoidal()),
}


@needs_kernels
@pytest.mark.parametrize("name", FITTING)
def test_a_written_encoder_on_the_kernels(name: str, tmp_path: Path) -> None:
    want = reference(saved(FITTING[name], tmp_path))
    loaded = load_encoder(tmp_path, replace(FAST, dtype="int8"))
    assert loaded.recorder is not None
    assert (rows(loaded, sentences()) - want).abs().max() < 0.03 * want.abs().max() + 0.02
    torch.testing.assert_close(rows(load_encoder(tmp_path, EXACT), sentences()), want, rtol=1e-4, atol=1e-4)
