"""Which row of the encoder belongs to each token: dynamic time warping over the cross-attention of some heads (Sakoe & Chiba 1978; as
openai-whisper does it)."""

import numpy as np
from numpy.typing import NDArray

MEDIAN_WIDTH = 7  # rows
# Pairs of seven values, each to be put into order, after which the fourth is the median (Devillard 1998, "Fast median search").
NETWORK = ((0, 5), (0, 3), (1, 6), (2, 4), (0, 1), (3, 5), (2, 6), (2, 3), (3, 6), (4, 5), (1, 4), (1, 3), (3, 4))

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
DIAGONAL, UP, LEFT = 0, 1, 2  # where a step of a path comes from


def token_rows(weights_HTR: Floats, spoken: slice, rows: int) -> NDArray[np.int64]:
    """[number of `spoken`]: the row in which each of these tokens begins, of all that the attention is told of. Only the first `rows` rows
    are of something that was recorded."""
    weights_HTR = weights_HTR[:, :, :rows]
    weights_HTR = weights_HTR / np.maximum(weights_HTR.sum(-1, keepdims=True), 1e-30)
    deviation_H1R = weights_HTR.std(1, keepdims=True)
    normal_HTR = (weights_HTR - weights_HTR.mean(1, keepdims=True)) / np.where(deviation_H1R > 0, deviation_H1R, np.float32(1))
    tokens, columns = warp(-median(normal_HTR[:, spoken]).mean(0).astype(np.float64))
    return columns[np.diff(tokens, prepend=-1) > 0]


def median(values: Floats) -> Floats:
    """Of each value and its neighbours in the last axis, which is reflected at its ends; one too short for that stays as it is."""
    half = MEDIAN_WIDTH // 2
    if values.shape[-1] <= half:
        return values
    padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(half, half)], mode="reflect")
    near = [padded[..., shift : shift + values.shape[-1]] for shift in range(MEDIAN_WIDTH)]
    for low, high in NETWORK:
        near[low], near[high] = np.minimum(near[low], near[high]), np.maximum(near[low], near[high])
    return near[half]


def warp(cost_TR: Doubles) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The cheapest path from the first corner to the last, as its indices in both axes: each step goes on in one of them or in both."""
    steps_TR = _steps(cost_TR)
    token, row = len(steps_TR) - 1, len(steps_TR[0]) - 1
    path = [(token, row)]
    while token or row:
        step = LEFT if not token else UP if not row else steps_TR[token][row]
        token, row = token - (step != LEFT), row - (step != UP)
        path.append((token, row))
    tokens, rows = np.array(path[::-1], np.int64).T
    return tokens, rows


def _steps(cost_TR: Doubles) -> list[bytes]:
    """From where the cheapest path comes to each place. A line is computed at once: what it costs to come to a place is the least, over
    the places at which the line may have been entered, of what that cost and of what lies between, which is a difference of sums."""
    above_R = np.full(cost_TR.shape[1] + 1, np.inf)
    above_R[0] = 0
    lines: list[bytes] = []
    for cost_R in cost_TR:
        sums_R = np.cumsum(cost_R)
        entered_R = np.minimum(above_R[:-1], above_R[1:])
        total_R = np.full_like(above_R, np.inf)
        total_R[1:] = sums_R + np.minimum.accumulate(entered_R - sums_R + cost_R)
        lines.append(_cheapest(above_R[:-1], above_R[1:], total_R[:-1]).tobytes())
        above_R = total_R
    return lines


def _cheapest(diagonal_R: Doubles, up_R: Doubles, left_R: Doubles) -> NDArray[np.uint8]:
    """Where two are as cheap, the row goes on alone, as in openai-whisper."""
    is_diagonal = (diagonal_R < up_R) & (diagonal_R < left_R)
    is_up = (up_R < diagonal_R) & (up_R < left_R)
    return np.where(is_diagonal, DIAGONAL, np.where(is_up, UP, LEFT)).astype(np.uint8)
