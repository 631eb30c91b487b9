"""Encoder-decoders on the compiled kernels: attention to what an encoder has read and T5's relative positions against their twins, and
whole answers against transformers', in any company."""

import random
from collections.abc import Sequence as Several
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.api import Frames
from engine.embedded.kernels.library import Library, levels
from engine.embedded.load import LoadedModel, LoadOptions, load_model
from engine.embedded.native.attention import PagedAttention, PagedCross
from engine.embedded.native.ops import Kernels
from engine.embedded.native.supports import supports
from engine.embedded.native.whole import WholeAttention
from engine.embedded.sequence import Sequence
from models.batch import Batch, Encoding
from models.families import ENCODER_DECODERS, arch_of
from models.reference import attend, look, whole
from models.score_bias import BiasRows, Scoring
from models.spec import Attention, CrossAttention, Full, Neighbourhood, RelativeBias, Window, crossed
from tests.engine.test_encoder_decoder import LIMITED, as_asked, core_of
from tests.engine.tiny import answer, drain, greedy, sequence
from tests.models.encoder_decoder_world import make, some_inputs, their_logits
from tests.models.test_encoder_decoders import tiny

pytestmark = pytest.mark.skipif(not levels(), reason="the kernels need a compiler at installation and a processor with AVX2")
INPUTS = [1, 16, 63, 300, 512]  # rows, up to two splits of keys


@pytest.fixture(autouse=True)
def _inference():
    torch.manual_seed(0)
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module", params=levels())
def kernels(request: pytest.FixtureRequest) -> Kernels:
    library = Library.open(2, request.param)
    assert library is not None
    return Kernels(library)


def close(got: Tensor, want: Tensor, tolerance: float) -> None:
    error = (got - want).abs().max().item() / want.abs().max().item()
    assert error < tolerance, f"off by {error:.2e} of the largest value"


def rounded(x: Tensor) -> Tensor:
    return x.bfloat16().float()


class Read:
    """Inputs of which one layer has made keys and values. `steps`: those that are read together."""

    def __init__(self, kernels: Kernels, spec: CrossAttention, steps: Several[Several[int]]) -> None:
        self.spec, self.layout = spec, crossed(spec)
        self.leaf = PagedCross(kernels, spec, 200, self.layout)
        self.leaf.pages.keys_PGKT.fill_(torch.nan)
        self.leaf.pages.values_PGTK.fill_(torch.nan)
        self.kv = [torch.randn(n, 2 * spec.kv_heads, spec.head_dim).chunk(2, 1) for n in INPUTS]
        ends = list(accumulate(-(-n // 16) for n in INPUTS))
        self.tables = [torch.arange(end - -(-n // 16), end).int() for n, end in zip(INPUTS, ends, strict=True)]
        for together in steps:
            self.look([(s, 1) for s in together], read=together)

    def table(self, sequences: Several[int]) -> Tensor:
        table_SW = torch.full((len(sequences), 40), -1, dtype=torch.int32)[:, :32]  # a part of a wider one
        for row_W, s in zip(table_SW, sequences, strict=True):
            row_W[: len(self.tables[s])] = self.tables[s]
        return table_SW

    def look(self, rows: Several[tuple[int, int]], read: Several[int] = ()) -> Tensor:
        """`rows`: a sequence and its queries, which `queries` makes."""
        sequences, counts = [s for s, _ in rows], [n for _, n in rows]
        starts = torch.tensor([0, *counts]).cumsum(0).int()
        encoding = (
            Encoding(torch.empty(0), replace(whole([INPUTS[s] for s in read]), pages={self.layout: self.table(read)})) if read else None
        )
        new = (torch.cat([self.kv[s][0] for s in read]), torch.cat([self.kv[s][1] for s in read])) if read else None
        lengths_S, cached_S = torch.tensor([INPUTS[s] for s in sequences]).int(), torch.full((len(rows),), 7, dtype=torch.int32)
        pages = {self.layout: self.table(sequences)}
        batch = Batch(torch.empty(0), starts, cached_S, pages, inputs_S=lengths_S, encoding=encoding)
        return self.leaf(torch.cat([self.queries(s, n) for s, n in rows]), new, batch)

    def queries(self, s: int, count: int) -> Tensor:
        generator = torch.Generator().manual_seed(s)
        return torch.randn(100, self.spec.heads, self.spec.head_dim, generator=generator)[:count] * 2

    def expected(self, rows: Several[tuple[int, int]]) -> Tensor:
        return torch.cat([look(self.spec, self.queries(s, n), rounded(self.kv[s][0]), rounded(self.kv[s][1])) for s, n in rows])


CROSSES = [
    CrossAttention(heads=8, kv_heads=8, head_dim=64, scale=1.0),
    CrossAttention(heads=6, kv_heads=2, head_dim=40),
    CrossAttention(heads=3, kv_heads=1, head_dim=10),
]


@pytest.mark.parametrize("spec", CROSSES, ids=str)
def test_every_query_sees_all_of_its_input(kernels: Kernels, spec: CrossAttention) -> None:
    read = Read(kernels, spec, [[0, 3], [1, 2, 4]])
    for rows in ([(s, 1) for s in range(5)], [(4, 1), (0, 63), (3, 2), (2, 1)], [(3, 100)]):
        torch.testing.assert_close(read.look(rows), read.expected(rows), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("spec", CROSSES, ids=str)
def test_a_query_does_not_see_its_company(kernels: Kernels, spec: CrossAttention) -> None:
    read = Read(kernels, spec, [range(5)])
    together = read.look([(s, 20) for s in range(5)])
    alone = torch.cat([read.look([(s, 20)]) for s in range(5)])
    assert torch.equal(together, alone)
    firsts = read.look([(s, 1) for s in range(5)])  # in splits
    assert torch.equal(firsts, together[::20])


@pytest.mark.parametrize("spec", CROSSES, ids=str)
def test_what_was_read_is_told(kernels: Kernels, spec: CrossAttention) -> None:
    read = Read(kernels, spec, [range(5)])
    sequences = [3, 0]
    batch = Batch(
        torch.empty(0),
        torch.zeros(3).int(),
        torch.zeros(2).int(),
        {read.layout: read.table(sequences)},
        inputs_S=torch.tensor([INPUTS[s] for s in sequences]).int(),
    )
    for i, s in enumerate(sequences):
        assert torch.equal(read.leaf.keys(None, batch, i), rounded(read.kv[s][0]))


LENGTHS = [1, 16, 17, 63, 3, 300]
BIASES = [RelativeBias(), RelativeBias(buckets=12, max_distance=20, shared=False), RelativeBias(buckets=8, max_distance=5)]


def scoring(position: RelativeBias, heads: int) -> Scoring:
    return Scoring(relative=BiasRows(torch.randn(position.buckets, heads).T * 3))


@pytest.mark.parametrize("position", BIASES, ids=str)
@pytest.mark.parametrize("mask", [Full(), Neighbourhood(distance=30)], ids=str)
def test_relative_positions_both_ways(kernels: Kernels, position: RelativeBias, mask: Full | Neighbourhood) -> None:
    spec = Attention(heads=4, kv_heads=2, head_dim=32, mask=mask, position=position, scale=0.3)
    q, k, v = torch.randn(sum(LENGTHS), 8, 32).split((4, 2, 2), 1)
    table = scoring(position, 4)
    parts = zip(*(x.split(LENGTHS) for x in (q, k, v)), strict=True)
    want = torch.cat([attend(spec, rounded(q), rounded(k), rounded(v), table) for q, k, v in parts])
    close(WholeAttention(kernels, spec)(q, k, v, whole(LENGTHS), table), want, 1e-2)


@pytest.mark.parametrize("position", BIASES, ids=str)
@pytest.mark.parametrize("window", [None, 40])
def test_relative_positions_back(kernels: Kernels, position: RelativeBias, window: int | None) -> None:
    """All tokens at once, and one by one."""
    more: dict[str, Any] = {} if window is None else {"mask": Window(size=window)}
    spec = Attention(heads=4, kv_heads=2, head_dim=20, position=position, scale=1.0, softcap=30.0, **more)
    group = crossed(CrossAttention(heads=4, kv_heads=2, head_dim=20))
    leaf, table = PagedAttention(kernels, spec, 20, group), scoring(position, 4)
    q, k, v = torch.randn(300, 8, 20).split((4, 2, 2), 1)
    pages = {group: torch.arange(20).int()[None]}

    def run(first: int, count: int) -> Tensor:
        rows = slice(first, first + count)
        batch = Batch(torch.empty(0), torch.tensor([0, count]).int(), torch.tensor([first]).int(), pages)
        return leaf(q[rows], k[rows], v[rows], batch, table)

    at_once = run(0, 300)
    torch.testing.assert_close(at_once, attend(spec, q, rounded(k), rounded(v), table), rtol=1e-4, atol=1e-4)
    assert torch.equal(torch.cat([run(t, 1) for t in range(300)]), at_once)


# heads of sixteens, as all published ones have them
SIZES: dict[str, Any] = {
    "d_model": 64,
    "d_ff": 96,
    "encoder_ffn_dim": 96,
    "d_kv": 16,
    "decoder_attention_heads": 4,
    "encoder_attention_heads": 2,
}
FAMILIES = sorted({module.rpartition(".")[2] for module in ENCODER_DECODERS.values()})
CASES = [*((family, {}) for family in FAMILIES), ("t5", {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False})]


def fitted(family: str, changes: dict[str, Any]) -> dict[str, Any]:
    values = tiny(family)
    return values | {name: size for name, size in SIZES.items() if name in values} | changes


def opened(folder: Path, **more: Any) -> LoadedModel:
    return load_model(folder, LoadOptions(kv_memory=1 << 20, limits=LIMITED, threads=1, **more))


def asked(values: dict[str, Any]) -> list[tuple[list[int] | Frames, list[int]]]:
    """Inputs of several lengths, one of them twice, and how their answers begin."""
    rnd = random.Random(7)
    read = [as_asked(inputs) for inputs in some_inputs(values, [40, 1, 17, 63])]
    begins = [[2, *rnd.choices(range(3, 250), k=n)] for n in (0, 5, 30, 1)]
    return [*zip(read, begins, strict=True), (read[0], [2])]


def answered(model: LoadedModel, wanted: Several[tuple[list[int] | Frames, list[int]]], pages: int = 12) -> list[Sequence]:
    engine = core_of(model, pages)
    seqs = [sequence(engine, begin, greedy(14), read=read) for read, begin in wanted]
    for seq in seqs:
        engine.add(seq)
        engine.step()
    drain(engine)
    assert engine._runner._captured  # no step had to do without a recording but those in which an input is read
    assert engine.stats().pages_used == 0
    return seqs


@pytest.mark.parametrize(("family", "changes"), CASES)
def test_the_kernels_answer_as_transformers_would(family: str, changes: dict[str, Any], tmp_path: Path) -> None:
    values = fitted(family, changes)
    theirs = make(values)
    theirs.save_pretrained(tmp_path)
    together = answered(opened(tmp_path), asked(values))
    alone = [answered(opened(tmp_path), [one])[0] for one in asked(values)]
    crowded = answered(opened(tmp_path), asked(values), pages=6)  # some give way, and begin again
    assert [answer(seq) for seq in together] == [answer(seq) for seq in alone] == [answer(seq) for seq in crowded]
    for seq in together:
        read = seq.request.encoder
        inputs = torch.from_numpy(read.rows) if isinstance(read, Frames) else torch.tensor(read)
        rows_TY = their_logits(theirs, [inputs], [torch.from_numpy(seq.tokens[: seq.length - 1])])
        chosen_Q = rows_TY[seq.prompt - 1 :].gather(1, torch.from_numpy(seq.tokens[seq.prompt : seq.length])[:, None])[:, 0]
        assert (chosen_Q > rows_TY[seq.prompt - 1 :].amax(-1) - 0.05 * rows_TY.abs().max()).all()


def test_a_quantized_one_answers(tmp_path: Path) -> None:
    values = fitted("t5", {})
    make(values).save_pretrained(tmp_path)
    seqs = answered(opened(tmp_path, quantize="int8"), asked(values))
    assert all(seq.generated == 14 for seq in seqs)


def test_what_is_left_to_torch() -> None:
    for family in FAMILIES:
        assert supports(arch_of(fitted(family, {}))) and not supports(arch_of(tiny(family)))  # heads of odd sizes, in the encoder
