"""Dynamic time warping and what is done to the attention before it, against the oracle."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.models.whisper.generation_whisper import _dynamic_time_warping, _median_filter

from server.speech.words.alignment import median, token_rows, warp

NUMBERS = np.random.default_rng(0)


@given(st.integers(1, 12), st.integers(1, 30), st.integers(0, 1000))
def test_the_cheapest_path(tokens: int, rows: int, seed: int) -> None:
    cost = np.random.default_rng(seed).normal(size=(tokens, rows))
    ours, oracle = warp(cost), _dynamic_time_warping(cost.copy())
    assert np.array_equal(ours[0], oracle[0]) and np.array_equal(ours[1], oracle[1])


def test_a_whole_window() -> None:
    cost = NUMBERS.normal(size=(60, 400))
    assert np.array_equal(np.stack(warp(cost)), np.stack(_dynamic_time_warping(cost.copy())))


@pytest.mark.parametrize("rows", [1, 3, 4, 7, 50])
def test_the_median_of_neighbours(rows: int) -> None:
    values = NUMBERS.normal(size=(2, 3, rows)).astype(np.float32)
    assert np.array_equal(median(values), _median_filter(torch.tensor(values)[None], 7)[0].numpy())


def test_a_token_begins_where_it_begins_to_be_looked_at() -> None:
    """Two heads look at rows 10 to 19 with the first token, and so on; what comes before and behind looks anywhere."""
    weights = NUMBERS.uniform(0, 0.02, (2, 8, 60)).astype(np.float32)
    for token in range(5):
        weights[:, 2 + token, 10 * token : 10 * token + 10] += 0.1
    assert np.abs(token_rows(weights, slice(2, 7), 50) - np.arange(5) * 10).max() <= 3  # the median blurs


def test_rows_of_no_recording_are_no_tokens() -> None:
    weights = np.full((1, 4, 100), 0.001, np.float32)
    weights[:, :, 60:] = 1.0
    assert token_rows(weights, slice(1, -1), 20).max() < 20


def test_attention_that_tells_nothing() -> None:
    assert len(token_rows(np.zeros((1, 5, 10), np.float32), slice(1, -1), 10)) == 3
