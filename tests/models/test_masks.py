"""Masks, token by token, against their definitions written out."""

import pytest
import torch

from models.masks import may_see
from models.spec import Causal, Chunked, Fixed, Full, GroupedWindow, Mask, Neighbourhood, Strided, Window


def seen(mask: Mask, queries: range, keys: range) -> list[list[int]]:
    query, key = torch.tensor(list(queries))[:, None], torch.tensor(list(keys))[None]
    return may_see(mask, query, key).int().tolist()


def test_causal() -> None:
    assert seen(Causal(), range(2, 4), range(4)) == [[1, 1, 1, 0], [1, 1, 1, 1]]


def test_window() -> None:
    assert seen(Window(size=2), range(1, 4), range(4)) == [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]


def test_both_ways() -> None:
    assert seen(Full(), range(2), range(2)) == [[1, 1], [1, 1]]
    assert seen(Neighbourhood(distance=1), range(4), range(4)) == [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1]]


def test_chunked() -> None:
    assert seen(Chunked(size=2), range(4), range(4)) == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]


def test_strided() -> None:
    """The last two, and every third before."""
    assert seen(Strided(local=2, stride=3), range(6, 8), range(8)) == [[1, 0, 0, 1, 0, 1, 1, 0], [0, 1, 0, 0, 1, 0, 1, 1]]


def test_fixed() -> None:
    """The own block of three, and the last of each block before."""
    assert seen(Fixed(size=3, summary=1), range(7, 9), range(9)) == [[0, 0, 1, 0, 0, 1, 1, 1, 0], [0, 0, 1, 0, 0, 1, 1, 1, 1]]


def test_a_window_for_each_head() -> None:
    heads = seen(GroupedWindow(sizes=(1, 3)), range(3), range(3))
    assert heads == [seen(Window(size=n), range(3), range(3)) for n in (1, 3)]


@pytest.mark.parametrize(
    "mask", [Window(size=3), Chunked(size=3), GroupedWindow(sizes=(2, 4)), Neighbourhood(distance=2), Strided(local=2, stride=4)], ids=str
)
def test_nobody_sees_beyond_the_reach(mask: Mask) -> None:
    """What a cache frees is never looked at, and what a mask says it needs ahead is enough."""
    at = torch.arange(40)
    may = may_see(mask, at[:, None], at[None])
    back = (at[:, None] - at).expand_as(may)[may]
    assert mask.reach is None or back.max() < mask.reach
    assert mask.ahead is None or -back.min() <= mask.ahead
