"""Writers of quantized checkpoints, number by number and without torch's help: they share nothing with the readers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # of the outputs in a word, from the lowest nibble on


def words(rows: NDArray[np.int64], bits: int) -> NDArray[np.int32]:
    """Each row's numbers one behind the other, lowest bits first, in words of 32."""
    packed = []
    for row in rows:
        stream = sum(int(number) << (bits * i) for i, number in enumerate(row))
        count = -(-len(row) * bits // 32)
        packed.append([(stream >> (32 * i)) & 0xFFFFFFFF for i in range(count)])
    return np.array(packed, np.uint32).view(np.int32)


def gptq(q_IO: NDArray[np.int64], zero_GO: NDArray[np.int64], bits: int, stored_less: int) -> dict[str, NDArray[np.int32]]:
    """`stored_less`: what is taken off the zeros, 1 in the first format and 0 in the second."""
    return {"qweight": words(q_IO.T, bits).T.copy(), "qzeros": words((zero_GO - stored_less) % 2**bits, bits)}


def awq(q_IO: NDArray[np.int64], zero_GO: NDArray[np.int64]) -> dict[str, NDArray[np.int32]]:
    return {"qweight": _awq_words(q_IO), "qzeros": _awq_words(zero_GO)}


def _awq_words(rows: NDArray[np.int64]) -> NDArray[np.int32]:
    order = [8 * block + j for block in range(rows.shape[1] // 8) for j in AWQ_ORDER]
    return words(rows[:, order], 4)


def compressed(q_OI: NDArray[np.int64], zero_OG: NDArray[np.int64] | None, bits: int) -> dict[str, NDArray[Any]]:
    """compressed-tensors' pack-quantized: `q_OI` and `zero_OG` from -2^(bits - 1) on."""
    middle = 2 ** (bits - 1)
    packed = {"weight_packed": words(q_OI + middle, bits), "weight_shape": np.array(q_OI.shape)}
    return packed if zero_OG is None else packed | {"weight_zero_point": words(zero_OG.T + middle, bits).T.copy()}


def codes(rows: NDArray[np.int64], bits: int, high_first: bool = False) -> NDArray[np.uint8]:
    """Each row's numbers of 4 or 6 bits one behind the other in bytes, of a byte the low bits first, or the high."""
    packed = []
    for row in rows:
        pairs = [number for i in range(0, len(row), 2) for number in row[i : i + 2][::-1]] if high_first else row
        packed.append(list(sum(int(n) << (bits * i) for i, n in enumerate(pairs)).to_bytes(len(row) * bits // 8, "little")))
    return np.array(packed, np.uint8)


def e2m1(code: int) -> float:
    return _minifloat(code, 2, 1)


def e2m3(code: int) -> float:
    return _minifloat(code, 2, 3)


def _minifloat(code: int, exponent_bits: int, mantissa_bits: int) -> float:
    """A float of sign, exponent (bias 1) and mantissa, without infinities."""
    mantissa, exponent = code % 2**mantissa_bits, code >> mantissa_bits & 2**exponent_bits - 1
    magnitude = mantissa / 2**mantissa_bits if exponent == 0 else (1 + mantissa / 2**mantissa_bits) * 2 ** (exponent - 1)
    return -magnitude if code >> (exponent_bits + mantissa_bits) else magnitude
