"""Two servers behind nginx, as the profile `cluster` has them, with one embedded engine in the place of vLLM."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

from tests.deploy.client import Client
from tests.deploy.containers import Containers, say, timed, wait_until

Up = Callable[..., AbstractContextManager[Client]]
REQUESTS = 8


def run_cluster(containers: Containers, up: Up) -> None:
    """`up`: brings services up, as far as the first answer."""
    first, *others = containers.files
    containers = replace(containers, files=(first, "tests/deploy/cluster-on-cpu.yml", *others)).with_profiles("cluster")
    with up(containers, "nginx", "engine") as client:
        replicas = containers.names("replica")
        assert len(replicas) == 2, replicas
        both_answer(containers, client, replicas)
        store, stored = client.with_document(), client.remembered("The word is heliotrope.")
        assert all("31 days" in client.grounded(store)[0] for _ in range(4)), "whichever of them is asked"
        one_is_killed(containers, client, replicas[0])
        assert "31 days" in client.grounded(store)[0]
        assert client.openai.responses.retrieve(stored).id == stored
        containers.run("start", replicas[0])
        with timed("the killed server is back in the rotation"):
            wait_until("both answer again", lambda: both_serve(containers, client, replicas))
        engine_is_killed(containers, client)


def both_answer(containers: Containers, client: Client, replicas: list[str]) -> None:
    with timed(f"{REQUESTS} answers"):
        wait_until("both answer", lambda: both_serve(containers, client, replicas))
    say("both servers behind nginx have answered")


def both_serve(containers: Containers, client: Client, replicas: list[str]) -> bool:
    before = [served(containers, name) for name in replicas]
    for _ in range(REQUESTS):
        assert "Paris" in client.capital()
    return all(served(containers, name) > count for name, count in zip(replicas, before, strict=True))


def served(containers: Containers, name: str) -> int:
    return containers.logs(name).count("POST /v1/chat/completions 200")


def one_is_killed(containers: Containers, client: Client, name: str) -> None:
    containers.run("kill", "-s", "KILL", name)
    with timed(f"kill -9 of one server: {REQUESTS} answers by the other"):
        assert all("Paris" in client.capital() for _ in range(REQUESTS))


def engine_is_killed(containers: Containers, client: Client) -> None:
    name = containers.name("engine")
    containers.run("kill", "-s", "KILL", name)
    wait_until("/ready tells that the engine is away", lambda: client.status("/ready") == 503)
    assert client.status("/health") == 200
    containers.run("start", name)
    with timed("kill -9 of the engine; started again, and both servers are ready without a restart"):
        wait_until("ready after the engine came back", lambda: client.status("/ready") == 200)
    assert "Paris" in client.capital()
