"""The sampler against a naive torch twin that sorts everything, and against what each parameter promises."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engine.api import Sampling
from engine.embedded.sampling.sampler import TokenSampler, choose, draw, filter_tokens, most_likely, token_logprob, uniform

LOGITS = st.builds(
    lambda seed, size, spread: np.random.default_rng(seed).normal(0, spread, size).astype(np.float32),
    st.integers(0, 10_000),
    st.sampled_from([1, 5, 63, 256, 1000, 49_152]),
    st.sampled_from([0.0, 0.1, 2.0, 20.0]),
)


def naive(logits_Y: Tensor, s: Sampling) -> Tensor:
    """float64 probabilities of all tokens, one definition after the other."""
    p_Y = (logits_Y.double() / s.temperature).softmax(-1)
    sorted_Y, ids_Y = p_Y.sort(descending=True, stable=True)
    keep_Y = torch.arange(len(p_Y)) < (s.top_k or len(p_Y))
    sorted_Y = sorted_Y * keep_Y / (sorted_Y * keep_Y).sum()
    if s.top_p < 1:
        keep_Y &= (sorted_Y.cumsum(0) - sorted_Y < s.top_p) | (torch.arange(len(p_Y)) == 0)
    keep_Y &= sorted_Y >= s.min_p * sorted_Y[0]
    out_Y = torch.zeros_like(p_Y).scatter(0, ids_Y, sorted_Y * keep_Y)
    return out_Y / out_Y.sum()


@given(
    row_Y=LOGITS,
    temperature=st.sampled_from([0.3, 1.0, 1.7]),
    top_k=st.sampled_from([0, 1, 3, 40, 100_000]),
    top_p=st.sampled_from([1.0, 0.0, 0.3, 0.9, 0.999]),
    min_p=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    seed=st.integers(),
)
@settings(max_examples=150, deadline=None, database=None)
def test_draw_is_the_naive_inverse(row_Y: np.ndarray, temperature: float, top_k: int, top_p: float, min_p: float, seed: int) -> None:
    s = Sampling(max_tokens=1, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    p_Y = naive(torch.from_numpy(row_Y), s)
    for i in range(3):
        u = uniform(seed, i)
        token = draw(row_Y, s, u)
        below, above = float(p_Y[:token].sum()), float(p_Y[: token + 1].sum())
        assert below - 2e-3 <= u <= above + 2e-3  # float32 sums; a token at a filter's edge may fall on either side
        assert p_Y[token] > 0 or top_p < 1 or min_p > 0


def test_filters_keep_exactly() -> None:
    row_Y = np.log(np.array([0.05, 0.4, 0.1, 0.3, 0.15], np.float32))
    z_Y = row_Y - row_Y.max()

    def ids(**options: float) -> list[int]:
        return filter_tokens(z_Y, Sampling(max_tokens=1, **options)).tolist()  # type: ignore[arg-type]

    assert ids(top_k=2) == [1, 3]
    assert ids(top_p=0.69) == [1, 3]
    assert ids(top_p=0.71) == [1, 3, 4]
    assert ids(top_p=0.0) == [1]
    assert ids(min_p=0.3) == [1, 3, 4]
    assert ids(top_k=3, top_p=0.8) == [1, 3]  # 0.4 and 0.3 of 0.85 are 0.82
    assert ids(top_k=2, min_p=0.9) == [1]


def test_equal_logits_go_in_vocabulary_order() -> None:
    row_Y = np.zeros(1000, np.float32)
    assert most_likely(row_Y, 5).tolist() == [0, 1, 2, 3, 4]
    assert filter_tokens(row_Y, Sampling(max_tokens=1, top_k=3)).tolist() == [0, 1, 2]


def test_frequencies() -> None:
    p_Y = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    drawn = [draw(np.log(p_Y), Sampling(max_tokens=1), uniform(7, i)) for i in range(4000)]
    assert np.bincount(drawn) / 4000 == pytest.approx(p_Y, abs=0.03)


def test_seed_decides_alone() -> None:
    """Neither company nor position in the batch changes a token."""
    generator = torch.Generator().manual_seed(0)
    logits_SY = torch.randn(5, 300, generator=generator)
    mine = Sampling(max_tokens=9, seed=11, top_p=0.95)
    others = [Sampling(max_tokens=9), Sampling(max_tokens=9, temperature=0), Sampling(max_tokens=9, top_k=2)]
    alone = choose(logits_SY[2:3], [TokenSampler(mine, 11)])
    company = choose(
        logits_SY[:4], [TokenSampler(others[0], 1), TokenSampler(others[1], 2), TokenSampler(mine, 11), TokenSampler(others[2], 3)]
    )
    assert alone[0] == company[2]
    assert uniform(11, 0) != uniform(11, 1) != uniform(12, 1)


def test_greedy_takes_the_first_best() -> None:
    logits_SY = torch.tensor([[0.0, 3.0, 3.0, 1.0], [5.0, 0.0, 0.0, 0.0]])
    assert choose(logits_SY, [TokenSampler(Sampling(max_tokens=1, temperature=0), 0)] * 2) == [(1, None), (0, None)]


def test_numbers_that_are_none_give_no_token() -> None:
    logits_SY = torch.full((1, 4), torch.nan)
    for temperature in (0.0, 1.0):
        assert choose(logits_SY, [TokenSampler(Sampling(max_tokens=1, temperature=temperature), 0)]) == [(None, None)]


def test_tiny_temperature_is_greedy() -> None:
    row_Y = np.array([1.0, 1.1, 0.9], np.float32)
    assert {draw(row_Y, Sampling(max_tokens=1, temperature=1e-40), u / 10) for u in range(10)} == {1}


def test_bias_forces_and_forbids() -> None:
    logits_SY = torch.tensor([[0.0, 1.0, 2.0]])
    forced = Sampling(max_tokens=1, temperature=0, logit_bias=((0, 100.0),))
    forbidden = Sampling(max_tokens=1, temperature=0, logit_bias=((2, -100.0),))
    assert choose(logits_SY, [TokenSampler(forced, 0)])[0][0] == 0
    assert choose(logits_SY, [TokenSampler(forbidden, 0)])[0][0] == 1
    assert logits_SY.tolist() == [[0.0, 1.0, 2.0]]


def test_penalties() -> None:
    row_Y = np.array([2.0, 2.0, -1.0, 0.5], np.float32)

    def after(prompt: list[int], generated: list[int], **options: float) -> list[float]:
        sampler = TokenSampler(Sampling(max_tokens=1, temperature=0, **options), 0, prompt)  # type: ignore[arg-type]
        for token in generated:
            sampler.accept(token)
        return sampler._adjusted(row_Y).tolist()

    assert after([0], [1, 1], frequency_penalty=0.5) == [2.0, 1.0, -1.0, 0.5]
    assert after([0], [1, 1], presence_penalty=0.5) == [2.0, 1.5, -1.0, 0.5]
    assert after([0, 2], [1, 1], repetition_penalty=2.0) == [1.0, 1.0, -2.0, 0.5]


def test_penalties_over_many_tokens() -> None:
    sampler = TokenSampler(Sampling(max_tokens=1, temperature=0, frequency_penalty=1.0), 0)
    tokens = np.random.default_rng(0).integers(0, 2000, 3000)
    for token in tokens.tolist():
        sampler.accept(token)
    assert (-sampler._adjusted(np.zeros(2000, np.float32))).tolist() == np.bincount(tokens, minlength=2000).tolist()


@given(row_Y=LOGITS)
@settings(max_examples=40, deadline=None, database=None)
def test_logprobs_are_the_models_own(row_Y: np.ndarray) -> None:
    expected_Y = torch.from_numpy(row_Y).double().log_softmax(-1)
    token = len(row_Y) // 2
    got = token_logprob(row_Y, token, 5)
    assert got.logprob == pytest.approx(float(expected_Y[token]), abs=1e-4)
    assert [t for t, _ in got.top] == expected_Y.sort(descending=True, stable=True).indices[:5].tolist()
    assert [lp for _, lp in got.top] == pytest.approx([float(expected_Y[t]) for t, _ in got.top], abs=1e-4)


def test_logprobs_ignore_temperature_and_bias() -> None:
    logits_SY = torch.tensor([[0.0, 1.0, 2.0]])
    s = Sampling(max_tokens=1, temperature=0.1, seed=0, logit_bias=((0, 100.0),), logprobs=1)
    (token, logprob), *_ = choose(logits_SY, [TokenSampler(s, 0)])
    assert token == 0
    assert logprob is not None
    assert logprob.logprob == pytest.approx(float(logits_SY[0].log_softmax(-1)[0]))
    assert logprob.top[0][0] == 2


def test_each_token_is_drawn_anew() -> None:
    """And again the same after a restart: the numbers depend on the seed and the place alone."""

    def tokens() -> list[int | None]:
        sampler, drawn = TokenSampler(Sampling(max_tokens=20), 3), []
        for _ in range(20):
            ((token, _),) = choose(torch.zeros(1, 50), [sampler])
            assert token is not None
            sampler.accept(token)
            drawn.append(token)
        return drawn

    assert len(set(tokens())) > 10
    assert tokens() == tokens()


def naive_choice(row_Y: np.ndarray, s: Sampling, generated: list[int], allowed: set[int]) -> int:
    """The best token of `allowed` that neither min_tokens nor bad_words forbids."""
    ended = {word[-1] for word in s.bad_words if tuple(generated[len(generated) - len(word) + 1 :]) == word[:-1]}
    early = s.stop_tokens if len(generated) < s.min_tokens else set()
    left = allowed - ended or allowed
    return max(left - early or left, key=lambda token: (row_Y[token], -token))


@given(seed=st.integers(0, 10_000), min_tokens=st.integers(0, 12), words=st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=3)))
@settings(max_examples=150, deadline=None, database=None)
def test_min_tokens_and_bad_words(seed: int, min_tokens: int, words: list[list[int]]) -> None:
    rng = np.random.default_rng(seed)
    s = Sampling(max_tokens=30, temperature=0, min_tokens=min_tokens, stop_tokens=frozenset({1, 4, 77}), bad_words=tuple(map(tuple, words)))
    sampler, generated = TokenSampler(s, 0), list[int]()
    for _ in range(16):
        row_Y = rng.normal(0, 1, 6).astype(np.float32)
        token = sampler.choose(row_Y)
        assert token == naive_choice(row_Y, s, generated, set(range(6)))
        assert token is not None
        sampler.accept(token)
        generated.append(token)


def test_what_forbids_everything_forbids_nothing() -> None:
    s = Sampling(max_tokens=9, temperature=0, min_tokens=5, stop_tokens=frozenset({0, 1}), bad_words=((0,), (1,)))
    assert TokenSampler(s, 0).choose(np.array([1.0, 2.0], np.float32)) == 1


def test_bias_of_one_token_twice_adds_up() -> None:
    s = Sampling(max_tokens=1, temperature=0, logit_bias=((2, -100.0), (2, 1.0), (0, 0.5)))
    assert TokenSampler(s, 0)._adjusted(np.zeros(3, np.float32)).tolist() == [0.5, 0.0, -99.0]
