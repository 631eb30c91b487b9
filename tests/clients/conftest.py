"""A server with the default models, for all clients."""

from collections.abc import Iterator

import pytest

from tests.server.conftest import Running, running


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("clients") / "log", "--model", "smollm2", patience=300) as server:
        yield server
