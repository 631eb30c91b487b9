"""Writers of quantized checkpoints, number by number and without torch's help: they share nothing with the readers."""

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
