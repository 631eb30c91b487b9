"""State-space layers on the engine: states that are kept for others and for the next turn, and their arithmetic in pieces."""

import random

import pytest
import torch

from engine.embedded.memory.page_pool import PAGE
from engine.embedded.memory.sizes import TooLittleMemory, page_counts, slot_count
from engine.recurrence import delta, diagonal
from engine.recurrence.slot_states import in_chunks
from models.batch import DeltaRows
from models.describe import state_bytes
from models.reference import recurrence
from models.spec import MLP, S4, Arch, Attention, ImplicitFilter, Layer, LongConv, Mamba, Mamba2, Rope, ShortConv, slots
from tests.engine.tiny import CONTEXT, LIMITS, Oracle, answer, core, drain, greedy, sequence

MAMBA = Layer(mixer=Mamba(inner=48, state=4, rank=3), ffn=None)
MAMBA2 = Layer(mixer=Mamba2(heads=4, head_dim=8, state=6, groups=2), ffn=None)
CONV = Layer(mixer=ShortConv(channels=32), ffn=MLP(hidden=48))
LINEAR = Layer(mixer=S4(channels=32, state=6), ffn=MLP(hidden=48))
ATTENDS = Layer(mixer=Attention(heads=4, kv_heads=2, head_dim=8, position=Rope(dim=8)), ffn=MLP(hidden=48))
LONG = Layer(mixer=LongConv(channels=20, filter=ImplicitFilter(length=CONTEXT, hidden=8), order=3), ffn=None)
ARCHS = {
    "states": Arch(dim=32, vocab=96, layers=(MAMBA, MAMBA2, LINEAR), context=CONTEXT),
    "long": Arch(dim=32, vocab=96, layers=(LONG, LINEAR), context=CONTEXT),
    "hybrid": Arch(dim=32, vocab=96, layers=(MAMBA2, ATTENDS, CONV), context=CONTEXT),
}


@pytest.mark.parametrize("name", ARCHS)
def test_turns_go_on_where_the_last_ended(name: str) -> None:
    """The second and the third of a conversation find the state behind the last full page of the answer before."""
    engine, oracle, rnd = core(ARCHS[name]), Oracle(ARCHS[name]), random.Random(name)
    tokens = rnd.choices(range(96), k=37)
    for _ in range(3):
        before = len(tokens)
        seq = sequence(engine, tokens, greedy(21))
        engine.add(seq)
        drain(engine)
        assert answer(seq) == oracle.greedy(tuple(tokens), 21)
        if before > 37:
            assert seq.cached == (before - 8) // PAGE * PAGE  # seven tokens are new, and the last of the answer was never computed
        tokens = [*tokens, *answer(seq), *rnd.choices(range(96), k=7)]


@pytest.mark.parametrize("name", ARCHS)
def test_others_begin_behind_what_they_share(name: str) -> None:
    engine, oracle, rnd = core(ARCHS[name]), Oracle(ARCHS[name]), random.Random(name)
    stem = rnd.choices(range(96), k=71)
    for i in range(3):
        prompt = stem + rnd.choices(range(96), k=9)
        seq = sequence(engine, prompt, greedy(5))
        engine.add(seq)
        drain(engine)
        assert answer(seq) == oracle.greedy(tuple(prompt), 5)
        assert seq.cached == (64 if i else 0)


def test_an_answer_keeps_one_state() -> None:
    engine = core(ARCHS["states"])
    seq = sequence(engine, [1, 2, 3], greedy(140))
    engine.add(seq)
    drain(engine)
    stats = engine.stats()
    assert (stats.slots_free, stats.slots_used, stats.slots_cached, stats.slots_total) == (31, 0, 1, 32)


def test_states_run_out() -> None:
    """Two slots let one sequence run at a time; all answers are right."""
    engine, oracle = core(ARCHS["hybrid"], states=2), Oracle(ARCHS["hybrid"])
    prompts = [random.Random(i).choices(range(96), k=20 + i) for i in range(4)]
    seqs = [sequence(engine, prompt, greedy(15)) for prompt in prompts]
    for seq in seqs:
        engine.add(seq)
    drain(engine)
    for prompt, seq in zip(prompts, seqs, strict=True):
        assert answer(seq) == oracle.greedy(tuple(prompt), 15)


@pytest.mark.parametrize("tokens", [1, 2, 63, 64, 65, 200])
def test_chunks_compute_what_steps_do(tokens: int) -> None:
    torch.manual_seed(tokens)
    q, k = (torch.randn(tokens, 3, 5) for _ in range(2))
    v, decay, state = torch.randn(tokens, 3, 4), -torch.rand(tokens, 3) * 5, torch.randn(3, 5, 4)
    want = recurrence.recur(q, k, v, decay, state)
    for part, other in zip(in_chunks(q, k, v, decay, state), want, strict=True):
        torch.testing.assert_close(part, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("tokens", [1, 2, 15, 16, 17, 63, 64, 65, 200])
@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize("strongest", [0.1, 5.0, 2000.0])
def test_chunks_of_the_delta_rule_compute_what_steps_do(tokens: int, channels: int, strongest: float) -> None:
    """Also where almost all is forgotten, and the inverse of what is left would be infinite; cut anywhere."""
    torch.manual_seed(tokens)
    q, k, a = (torch.nn.functional.normalize(torch.randn(tokens, 3, 5), dim=-1) for _ in range(3))
    b = -a * torch.rand(tokens, 3, 5)  # as in RWKV-7: what is found along a is forgotten, so that nothing grows
    v, decay, state = torch.randn(tokens, 3, 4), -(torch.rand(tokens, 3, channels) ** 8) * strongest, torch.randn(3, 5, 4)
    rows, cut = DeltaRows(q, k, v, decay, a, b), tokens * 2 // 3
    want, last = recurrence.delta(rows, state)
    found: list[torch.Tensor] = []
    for part in (slice(0, cut), slice(cut, None)) if cut else (slice(None),):
        out, state = delta.in_chunks(rows[part], state)
        found.append(out)
    torch.testing.assert_close(torch.cat(found), want, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(state, last, rtol=1e-4, atol=1e-4)


def test_a_step_of_the_delta_rule() -> None:
    q, k, a, b, v, state = (torch.randn(4, 3, *size) for size in ((5,), (5,), (5,), (5,), (6,), (5, 6)))
    rows = DeltaRows(q, k, v, -torch.rand(4, 3, 5), a, b)
    out, after = delta.step(rows, state)
    for s in range(4):
        want = recurrence.delta(rows[s : s + 1], state[s])
        torch.testing.assert_close((out[s : s + 1], after[s]), want)


@pytest.mark.parametrize("tokens", [1, 2, 63, 64, 65, 200])
def test_frequencies_compute_what_steps_do(tokens: int) -> None:
    torch.manual_seed(tokens)
    rates = torch.complex(-torch.rand(3, 5), 9 * torch.randn(3, 5))
    x, poles, residues, state = torch.randn(tokens, 3), (0.1 * rates).exp(), torch.randn(3, 5, dtype=torch.cfloat), torch.randn(3, 5, 2)
    want = recurrence.diagonal(x, poles, residues, state)
    for part, other in zip(diagonal.by_fft(x, poles, residues, state), want, strict=True):
        torch.testing.assert_close(part, other, rtol=1e-5, atol=2e-5)


def test_memory_is_shared_between_pages_and_states() -> None:
    hybrid = ARCHS["hybrid"]
    size = state_bytes(hybrid, 4)
    assert size == 4 * (3 * (4 * 8 + 2 * 2 * 6) + 2 * 32 + 4 * 6 * 8) and len(slots(hybrid)) == 3
    per_page = PAGE * 2 * (2 * 8) * 2
    for memory in (200 * size, 50 * size):
        found = slot_count(hybrid, memory=memory, limits=LIMITS)
        assert found is not None and found == min(memory // 2 // size, 4 * LIMITS.max_running)
        (pages,) = page_counts(hybrid, context=1 << 20, memory=memory, number_bytes=2, limits=LIMITS).values()
        assert pages == (memory - found * size) // per_page
    with pytest.raises(TooLittleMemory, match="no two states"):
        slot_count(hybrid, memory=size, limits=LIMITS)
