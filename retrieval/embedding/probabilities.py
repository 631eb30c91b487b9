"""From the logits of classes to their probabilities, [n, classes] each."""

import numpy as np
from numpy.typing import NDArray

Logits = NDArray[np.float64]
Probabilities = NDArray[np.float64]


def softmax(logits: Logits) -> Probabilities:
    """One of the classes is there."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each class is there or not, whatever the others are."""
    return 0.5 + 0.5 * np.tanh(0.5 * logits)
