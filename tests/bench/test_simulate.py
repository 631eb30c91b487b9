"""The event model of replicas, on cases small enough to be computed by hand."""

import math
from pathlib import Path

import pytest

from bench.scale.figures import Figures, figures, percentile
from bench.scale.model import Cost, Job, Limits, Simulation
from bench.scale.times import StepTable, table_of
from bench.scale.trace import Arrival, Sizes, poisson, read, write


def whole_seconds(decodes: int, prompt_tokens: int, luck: float) -> float:
    """A second for the step, one for each decode, and one for each ten tokens of prompts."""
    return 1.0 + decodes + prompt_tokens / 10


def served(arrivals: list[Arrival], replicas: int = 1, limits: Limits | None = None, cost: Cost | None = None) -> list[list[float]]:
    jobs: list[Job] = Simulation(replicas, limits or Limits(), whole_seconds, cost or Cost()).run(arrivals)
    return [job.stamps for job in jobs]


def test_one_request() -> None:
    """20 tokens of prompt: 1 + 2; then a decode each 1 + 1."""
    assert served([Arrival(5, 20, 3)]) == [[8, 10, 12]]


def test_what_comes_during_a_step_waits_for_its_end() -> None:
    """The second comes at 1 and begins at 3, where the first decodes: 1 + 1 + 1 with its 10 tokens; then two decodes, 1 + 2."""
    assert served([Arrival(0, 20, 3), Arrival(1, 10, 2)]) == [[3, 6, 9], [6, 9]]


def test_a_prompt_beside_a_decode_is_cut() -> None:
    """Sixteen tokens beside one answer, then the four that are left, with which the first ends; then the second decodes alone."""
    assert served([Arrival(0, 10, 3), Arrival(1, 20, 2)]) == [
        [2, pytest.approx(5.6), pytest.approx(8)],
        [pytest.approx(8), pytest.approx(10)],
    ]


def test_more_that_wait_get_more_of_a_step() -> None:
    """Two wait for their first token, one for its next: 2 * 16 tokens, so that both prompts of 16 fit."""
    stamps = served([Arrival(0, 10, 2), Arrival(1, 16, 1), Arrival(1, 16, 1)])
    assert [s[0] for s in stamps[1:]] == [pytest.approx(2 + 1 + 1 + 3.2)] * 2


def test_a_long_prompt_takes_several_steps() -> None:
    assert served([Arrival(0, 30, 1)], limits=Limits(max_step_tokens=20)) == [[5]]


def test_no_more_run_than_may() -> None:
    """The second begins when the first is done."""
    assert served([Arrival(0, 10, 2), Arrival(0, 10, 1)], limits=Limits(max_running=1)) == [[2, 4], [6]]


def test_the_least_loaded_replica_gets_the_next() -> None:
    """The first replica has one when the second comes, both have one when the third does, and the first is free when the fourth comes."""
    arrivals = [Arrival(0, 10, 1), Arrival(0.5, 20, 1), Arrival(1, 10, 1), Arrival(4.5, 10, 1)]
    assert served(arrivals, replicas=2) == [[2], [3.5], [4], [6.5]]


def test_a_busy_hour_is_shorter_on_two() -> None:
    arrivals = [Arrival(0, 10, 1)] * 4
    limits = Limits(max_step_tokens=10)
    assert served(arrivals, 1, limits) == [[2], [4], [6], [8]]
    assert served(arrivals, 2, limits) == [[2], [2], [4], [4]]


def test_what_the_server_adds() -> None:
    """A quarter before a request may begin, a half for each answer of a step."""
    assert served([Arrival(0, 10, 2)], cost=Cost(request=0.25, token=0.5)) == [[2.75, 5.25]]


def test_times_between_measured_ones() -> None:
    table = StepTable({(0, 0): [0.0], (0, 10): [1.0, 3.0], (2, 0): [2.0], (2, 10): [4.0]})
    assert table(0, 10, 0.0) == 1 and table(0, 10, 0.9) == 3
    assert table(1, 0, 0.5) == 1 and table(1, 5, 0.0) == pytest.approx((0 + 1 + 2 + 4) / 4)
    assert table(4, 0, 0.5) == 4 and table(2, 20, 0.5) == 6  # beyond the last
    assert table_of(table.as_json())(1, 5, 0.0) == table(1, 5, 0.0)  # type: ignore[arg-type]
    assert list(table.joined(table).seconds[0, 10]) == [1, 1, 3, 3]
    with pytest.raises(ValueError, match=r"missing: \[\(2, 10\)\]"):
        table_of([(0, 0, [0]), (0, 10, [1]), (2, 0, [2])])


def test_figures() -> None:
    found = figures([(0.0, [1.0, 1.5]), (1.0, [4.0, 5.0])])
    assert found == Figures(first_p50=1000, first_p99=3000, between_p50=500, between_p99=1000, tokens_s=0.8)
    assert found.off(Figures(500, 3000, 500, 2000, 0.8)) == {
        "first_p50": 1.0,
        "first_p99": 0.0,
        "between_p50": 0.0,
        "between_p99": -0.5,
        "tokens_s": 0.0,
    }
    assert [percentile(range(1, 101), p) for p in (0.5, 0.99, 1.0)] == [50, 99, 100]
    assert math.isnan(percentile([], 0.5))


def test_arrivals_are_drawn_by_their_seed() -> None:
    sizes = Sizes(prompt=(5, 9), answer=(2, 3))
    drawn = poisson(10, 100, 3, sizes)
    assert drawn == poisson(10, 100, 3, sizes) != poisson(10, 100, 4, sizes)
    assert 900 < len(drawn) < 1100 and drawn[-1].second < 100
    assert {a.prompt for a in drawn} == {5, 6, 7, 8, 9} and {a.answer for a in drawn} == {2, 3}


def test_a_file_of_arrivals(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", [Arrival(1.5, 3, 4), Arrival(0.5, 1, 2)])
    assert read(tmp_path / "t.csv") == [Arrival(0.5, 1, 2), Arrival(1.5, 3, 4)]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a,b\n", "first line must be arrival,prompt,answer"),
        ("arrival,prompt,answer\n", "no arrivals"),
        ("arrival,prompt,answer\n1,2,3\n1,x,3\n", "line 3: prompt must be a number, not 'x'"),
        ("arrival,prompt,answer\n1,2\n", "line 2: answer must be a number, not None"),
        ("arrival,prompt,answer\n1,0,3\n", "at least 1"),
        ("arrival,prompt,answer\nnan,2,3\n", "arrival must be finite"),
        ("arrival,prompt,answer\n1,2.5,3\n", "whole numbers"),
    ],
)
def test_a_wrong_file_says_where(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=what):
        read(tmp_path / "t.csv")
