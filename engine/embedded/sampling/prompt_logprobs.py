"""Logprobs of the tokens of a prompt, from the steps that compute it."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from engine.embedded.sampling.sampler import token_logprob
from engine.embedded.sequence import Chunk

BLOCK = 32  # tokens whose logits are held at once

LogitsOf = Callable[[slice], Tensor]  # a slice of the step's tokens -> their logits, one row each


def score_prompts(step: Sequence[Chunk], logits_of: LogitsOf) -> None:
    """Extends `prompt_logprobs` of those sequences in `step` that want them."""
    begin = 0
    for chunk in step:
        if chunk.sequence.unscored is not None:
            _score(chunk, begin, logits_of)
        begin += chunk.size


def _score(chunk: Chunk, begin: int, logits_of: LogitsOf) -> None:
    """`begin`: place of the chunk's first token in the step."""
    seq = chunk.sequence
    while (first := seq.unscored) is not None and first < chunk.end:
        end = min(first + BLOCK, chunk.end, seq.prompt - 1)
        rows: NDArray[np.float32] = logits_of(slice(begin + first - seq.computed, begin + end - seq.computed)).cpu().numpy()
        targets = seq.tokens[first + 1 : end + 1].tolist()
        top = seq.request.sampling.prompt_logprobs or 0
        seq.prompt_logprobs += [token_logprob(row_Y, token, top) for row_Y, token in zip(rows, targets, strict=True)]
