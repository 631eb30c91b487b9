"""kill -9 at random moments. `bench/kill.py` does the same fifty times with a real model."""

from pathlib import Path

from bench.kill import Plan, run


def test_what_was_acknowledged_outlives_kill_9(tmp_path: Path) -> None:
    result = run(Plan(kills=5, files=60, model="words", longest=0.8), tmp_path)
    assert result.problems == []
    assert result.kills == 5 and result.files_put > 60 and result.files_ready > 60
