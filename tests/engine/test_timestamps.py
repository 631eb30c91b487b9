"""Times of what an encoder has heard come as transformers lets them, and logprobs of tokens that are asked for come along."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import WhisperTimeStampLogitsProcessor

from engine.api import EngineError, ModelInfo, Request, Sampling, Timestamps
from engine.checks import expect_possible
from engine.embedded.sampling.sampler import TokenSampler, choose
from engine.embedded.sampling.timestamps import TimestampOrder

END, NEVER, FIRST, VOCAB = 20, 29, 30, 60
BEGUN = [1, 2]


def allowed_by_transformers(history: list[int], row_Y: np.ndarray, latest: int | None) -> np.ndarray:
    config = SimpleNamespace(
        no_timestamps_token_id=NEVER,
        eos_token_id=END,
        bos_token_id=END,
        max_initial_timestamp_index=latest,
        _detect_timestamp_from_logprob=True,
    )
    processor = WhisperTimeStampLogitsProcessor(config, begin_index=len(BEGUN))  # type: ignore[arg-type]
    ids = torch.LongTensor([BEGUN + history])
    return processor(ids, torch.from_numpy(row_Y)[None].clone())[0].numpy()  # type: ignore[arg-type]


@given(seed=st.integers(0, 2**32), latest=st.sampled_from([None, 0, 5, 50]), times=st.floats(-3, 3))
@settings(max_examples=60, deadline=None, database=None)
def test_as_transformers(seed: int, latest: int | None, times: float) -> None:
    """Each draws an answer of up to 18 tokens: some thousand histories in all. `times`: how likely these are."""
    rng = np.random.default_rng(seed)
    order, history = TimestampOrder(Timestamps(first=FIRST, end=END, never=NEVER, latest_start=latest)), list[int]()
    for _ in range(18):
        row_Y = rng.normal(0, 2, VOCAB).astype(np.float32)
        row_Y[FIRST:] += np.float32(times)
        theirs, ours = allowed_by_transformers(history, row_Y, latest), row_Y.copy()
        order.restrict(ours)
        np.testing.assert_array_equal(ours, theirs)
        if not np.isfinite(ours).any():
            break  # behind the last time of all there is neither another one nor, without a pair, text
        token = int(ours.argmax())
        order.accept(token)
        history.append(token)


def test_the_sampler_follows_them() -> None:
    sampling = Sampling(max_tokens=9, temperature=0, timestamps=Timestamps(first=3, end=2, latest_start=1), bad_words=((1,),))
    sampler, chosen = TokenSampler(sampling, 0), list[int]()
    for row in ([9, 9, 9, 1, 2, 9], [1, 9, 0, 9, 9, 9], [0, 0, 0, 0, 0, 5], [9, 9, 9, 0, 9, 0]):
        ((token, _),) = choose(torch.tensor([row], dtype=torch.float32), [sampler])
        assert token is not None
        sampler.accept(token)
        chosen.append(token)
    assert chosen == [4, 0, 5, 2]  # the first two times at most; text; its end; the answer's end or the same time again


def test_tokens_that_are_asked_for() -> None:
    logits_SY = torch.tensor([[0.0, 1.0, 2.0, -1.0]])
    ((_, logprob),) = choose(logits_SY, [TokenSampler(Sampling(max_tokens=1, temperature=0, logprobs=0, scored=(3, 0)), 0)])
    assert logprob is not None and logprob.top == ()
    assert logprob.scored == pytest.approx(logits_SY[0].log_softmax(-1)[[3, 0]].tolist(), abs=1e-6)


def test_tokens_that_there_are_not() -> None:
    info, times = ModelInfo(context=9, vocab=VOCAB), Timestamps(first=VOCAB, end=2)
    for sampling in (Sampling(max_tokens=1, logprobs=0, scored=(VOCAB,)), Sampling(max_tokens=1, timestamps=times)):
        with pytest.raises(EngineError, match=f"token {VOCAB} is not in the vocabulary"):
            expect_possible(Request(tokens=(1,), sampling=sampling), info)
