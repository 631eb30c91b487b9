"""Any attention, and any mix of parts, on the compiled kernels: against the reference that rounds where they round, and in any company."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from engine.api import Sampling
from engine.embedded.kernels.library import Library, levels
from engine.embedded.native.attention import PagedAttention
from engine.embedded.native.backend import NativeBackend
from engine.embedded.native.ops import Kernels
from engine.embedded.native.supports import supports
from engine.embedded.on_torch.pages import layout
from models.batch import Attend, Batch, Slots, Split
from models.quant import Weight
from models.reference import Embedding, Linear, Reference, attend, whole
from models.score_bias import PLAIN, Scoring
from models.spec import Alibi, Arch, Attention, Disentangled, RelativeBias, Sinusoidal, groups, map_mixers
from tests.engine.mixes import VOCAB, attentions, dense_archs
from tests.engine.test_company import ask, engine
from tests.engine.tiny import LIMITS, answer, filled

pytestmark = pytest.mark.skipif(not levels(), reason="the kernels need a compiler at installation and a processor with AVX2")
PAGES, LONGEST = 24, 340  # beyond one split of keys
QUICK = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)


@pytest.fixture(scope="module", params=levels())
def library(request: pytest.FixtureRequest) -> Library:
    library = Library.open(1, request.param)
    assert library is not None
    return library


def here(spec: Attention) -> Attention:
    """With others in place of the positions and gates that are left to torch."""
    position = Alibi() if isinstance(spec.position, RelativeBias | Disentangled) else spec.position
    return replace(spec, gate="channel" if spec.gate else None, position=position)


def all_here(arch: Arch) -> Arch:
    layers = tuple(map_mixers(layer, lambda one: here(one) if isinstance(one, Attention) else one) for layer in arch.layers)
    return replace(arch, layers=layers, position=None if isinstance(arch.position, Sinusoidal) else arch.position)


def rounded(x: Weight) -> Tensor:
    assert isinstance(x, Tensor)
    return x.bfloat16().float()


Parts = tuple[Tensor, ...]  # q, k and v of one sequence


class Leaf:
    """One layer's attention, whose pages nobody has written, and whose sequences lose what is out of reach as they grow."""

    def __init__(self, library: Library, spec: Attention, scoring: Scoring) -> None:
        self.spec, self.scoring = spec, scoring
        self.layout = layout(spec)
        self.leaf = PagedAttention(Kernels(library), spec, 4 * PAGES, self.layout)
        self.leaf.pages.keys_PGKT.fill_(torch.nan)
        self.leaf.pages.values_PGTK.fill_(torch.nan)

    def run(self, parts: Sequence[Parts], rows: Sequence[tuple[int, int, int]]) -> list[Tensor]:
        """rows: (sequence, tokens already seen, new tokens)"""
        cut = [[t[c : c + n] for t in parts[s]] for s, c, n in rows]
        q_THK, k_TGK, v_TGK = (torch.cat(of) for of in zip(*cut, strict=True))
        starts = torch.tensor([0, *(n for *_, n in rows)]).cumsum(0).int()
        batch = Batch(torch.empty(0), starts, torch.tensor([c for _, c, _ in rows]).int(), {self.layout: self._table(rows)})
        return list(self.leaf(q_THK, k_TGK, v_TGK, batch, self.scoring).split([n for *_, n in rows]))

    def _table(self, rows: Sequence[tuple[int, int, int]]) -> Tensor:
        table_SW = torch.stack([torch.arange(s * PAGES, (s + 1) * PAGES) for s, *_ in rows]).int()
        for row_W, (_, cached, _) in zip(table_SW, rows, strict=True):
            if self.layout.reach is not None:
                row_W[: max(0, cached - self.layout.reach + 1) // 16] = -1
        return table_SW


@given(spec=attentions().map(here), head_dim=st.sampled_from([6, 16, 40, 64]), seed=st.integers(0, 10_000))
@settings(QUICK, max_examples=40)
@torch.inference_mode()
def test_any_attention_equals_the_reference_however_it_is_cut(library: Library, spec: Attention, head_dim: int, seed: int) -> None:
    spec, rng, noise = replace(spec, head_dim=head_dim), random.Random(seed), torch.Generator().manual_seed(seed)
    lengths = [rng.randint(1, LONGEST) for _ in range(3)]
    sizes = [(spec.heads, head_dim), (spec.kv_heads, head_dim), (spec.kv_heads, head_dim)]
    parts = [tuple(torch.randn(n, *size, generator=noise) * 2 for size in sizes) for n in lengths]
    scoring = Scoring(torch.randn(spec.heads, generator=noise) * 3 if spec.sinks else None)
    at_once = Leaf(library, spec, scoring).run(parts, [(s, 0, n) for s, n in enumerate(lengths)])
    for got, (q_THK, k_TGK, v_TGK) in zip(at_once, parts, strict=True):
        torch.testing.assert_close(got, attend(spec, q_THK, rounded(k_TGK), rounded(v_TGK), scoring), rtol=1e-4, atol=1e-4)
    leaf, done, pieces = Leaf(library, spec, scoring), [0] * 3, [[] for _ in lengths]
    while rows := [(s, d, min(rng.choice([1, 1, 7, 90]), n - d)) for s, (d, n) in enumerate(zip(done, lengths, strict=True)) if d < n]:
        if rng.random() < 0.5:  # only steps in which each has one token are cut into splits
            rows = [(s, d, 1) for s, d, _ in rows]
        for (s, _, n), piece in zip(rows, leaf.run(parts, rows), strict=True):
            pieces[s].append(piece)
            done[s] += n
    assert all(torch.equal(torch.cat(cut), whole) for cut, whole in zip(pieces, at_once, strict=True))


class RoundingLinear(Linear):
    def assign(self, field: str, value: Weight) -> None:
        super().assign(field, rounded(value) if field == "weight" else value)

    def forward(self, x_TI: Tensor) -> Tensor:
        return F.linear(rounded(x_TI), self.weight, self.bias)


class RoundingEmbedding(Embedding):
    def assign(self, field: str, value: Weight) -> None:
        super().assign(field, rounded(value))

    def logits(self, x_SD: Tensor) -> Tensor:
        return F.linear(rounded(x_SD), self.weight)


class Rounding(Reference):
    """To bf16 what the kernels keep in bf16: matrices and what they are multiplied with, keys and values."""

    def linear(self, name: str, d_in: int, d_outs: Sequence[int], *, bias: bool = False, split: Split = "column") -> nn.Module:
        return RoundingLinear(d_in, sum(d_outs), bias, self.dtype)

    def embedding(self, name: str, vocab: int, dim: int) -> nn.Module:
        return RoundingEmbedding(vocab, dim, self.dtype) if name == "embed" else super().embedding(name, vocab, dim)

    def attend(self, name: str, spec: Attention) -> Attend:
        leaf = super().attend(name, spec)

        def rounding(q_THK: Tensor, k_TGK: Tensor, v_TGK: Tensor, batch: Batch, scoring: Scoring = PLAIN) -> Tensor:
            return leaf(q_THK, rounded(k_TGK), rounded(v_TGK), batch, scoring)

        return rounding


@given(arch=dense_archs.map(all_here), seed=st.integers(0, 10_000))
@settings(QUICK, max_examples=40)
@torch.inference_mode()
def test_any_mix_equals_the_reference(library: Library, arch: Arch, seed: int) -> None:
    """But where a number that lies between two of bf16 goes to the other one, and what follows from it: so half of the rows at least, of
    those that have not outgrown float32, as products of products may."""
    assert supports(arch)
    counts = dict.fromkeys(groups(arch), 8)
    tokens_T = torch.randint(0, VOCAB, (100,), generator=torch.Generator().manual_seed(seed))
    batch, native, twin = whole([100]), filled(arch, NativeBackend(library, counts, slots=1)), filled(arch, Rounding())
    slots = Slots(read_S=torch.tensor([1], dtype=torch.int32), write_S=torch.tensor([0], dtype=torch.int32))
    kept = replace(batch, pages={group: torch.arange(8).int()[None] for group in counts}, slots=slots)
    got_TY, want_TY = native.logits(native(tokens_T, kept)), twin.logits(twin(tokens_T, batch))
    close_T = (got_TY - want_TY).abs().amax(1) < 0.05 * want_TY.abs().amax(1)
    assert close_T[want_TY.isfinite().all(1)].float().mean() >= 0.5


@given(
    arch=dense_archs.map(all_here),
    seed=st.integers(0, 10_000),
    pages=st.integers(10, 24),
    running=st.integers(1, 6),
    step_tokens=st.integers(16, 90),
)
@settings(QUICK, max_examples=12)
def test_any_mix_alone_and_in_company(library: Library, arch: Arch, seed: int, pages: int, running: int, step_tokens: int) -> None:
    rnd = random.Random(seed)
    stem = rnd.choices(range(VOCAB), k=rnd.choice([0, 16, 50]))
    prompts = [stem + rnd.choices(range(VOCAB), k=rnd.randint(1, 50)) for _ in range(rnd.randint(2, 5))]
    asked = [(p, Sampling(max_tokens=rnd.randint(1, 18), temperature=rnd.choice([0.0, 1.0]), seed=i)) for i, p in enumerate(prompts)]
    alone = [answer(ask(engine(library, arch, 64, LIMITS), [each])[0]) for each in asked]
    limits = replace(LIMITS, max_running=running, max_step_tokens=step_tokens, mixed_step_tokens=min(7, step_tokens))
    together = ask(engine(library, arch, pages, limits), asked)
    assert [answer(seq) for seq in together] == alone
