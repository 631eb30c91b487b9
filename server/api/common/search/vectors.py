"""Embeddings cut to fewer dimensions."""

import numpy as np
from numpy.typing import NDArray


def truncate_vectors(vectors: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """The first `dimensions` components of each vector, normalized again (Matryoshka embeddings: Kusupati et al. 2022, arXiv 2205.13147).
    The loss of quality depends on how the model was trained."""
    if dimensions == vectors.shape[1]:
        return vectors
    truncated = vectors[:, :dimensions]
    norms = np.linalg.norm(truncated, axis=1, keepdims=True)
    return (truncated / np.where(norms == 0, 1, norms)).astype(np.float32)
