"""best_of: the likeliest per token come first."""

from engine.api import TokenLogprob
from server.api.completions.best_of import best_answers


def answer(*logprobs: float) -> list[TokenLogprob]:
    return [TokenLogprob(token=i, logprob=logprob) for i, logprob in enumerate(logprobs)]


def test_the_likeliest_per_token() -> None:
    answers = [answer(-1.0, -1.0), answer(-0.5, -0.5, -0.5, -0.5, -0.5), answer(-0.9), answer(-1.0)]
    assert best_answers(answers, 4) == [1, 2, 0, 3]  # the sum would put the longest last
    assert best_answers(answers, 1) == [1]
