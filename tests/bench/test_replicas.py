"""A few kills of what `python -m bench.replicas` does fifty times: nothing that was acknowledged is lost, nobody waits for the dead."""

import asyncio
from pathlib import Path

import pytest

from bench.replicas.__main__ import Plan, run
from tests.retrieval.postgres_server import postgres_server


@pytest.mark.slow
def test_replicas_are_killed_under_load(tmp_path: Path) -> None:
    with postgres_server({"synchronous_commit": "on"}) as server:
        result = asyncio.run(run(Plan(database_url=server.url(), kills=3), tmp_path))
    assert result["problems"] == [] and result["kills"] == 3
    assert all(result["acknowledged"].values()), result
