"""`best_of`: which of several answers to a prompt are returned."""

from collections.abc import Sequence

from engine.api import TokenLogprob


def best_answers(answers: Sequence[Sequence[TokenLogprob]], count: int) -> list[int]:
    """Indices of the `count` answers with the highest log probability per token (as in OpenAI's API), the best first; equal ones in
    their order. Logprobs of sampled tokens come with Sampling.logprobs=0. An answer without tokens is certain."""
    return sorted(range(len(answers)), key=lambda i: -mean_logprob(answers[i]))[:count]


def mean_logprob(tokens: Sequence[TokenLogprob]) -> float:
    return sum(token.logprob for token in tokens) / len(tokens) if tokens else 0.0
