"""kill -9 of a replica in the middle of its work: what it had acknowledged is there, what it was doing ends through the other, soon."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from openai import OpenAI

from bench.replicas.processes import nginx
from tests.retrieval.postgres_server import PostgresServer
from tests.server.conftest import Running, free_port
from tests.server.replicas.conftest import Replicas, metric, until

ClientOf = Callable[[str], OpenAI]
SOON = 25.0  # seconds: less than a lease; bench.replicas holds it to ten
LONG: Any = {"model": "smollm2", "input": "Tell a long story.", "background": True, "extra_body": {"min_tokens": 6000}}
CHAT: Any = {"model": "smollm2", "messages": [{"role": "user", "content": "Tell a long story."}], "min_tokens": 400, "max_tokens": 400}
BODY = {"model": "smollm2", "max_tokens": 32, "messages": [{"role": "user", "content": "Go"}]}


def kill(server: Running) -> float:
    """Returns when that was."""
    server.process.kill()
    server.process.wait(30)
    return time.monotonic()


@pytest.fixture
def client_of() -> Iterator[ClientOf]:
    with ExitStack() as stack:
        yield lambda url: stack.enter_context(OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0))


@pytest.fixture
def pair(replicas: Replicas) -> tuple[Running, Running]:
    return replicas.two()


def test_an_answer_whose_process_dies(pair: tuple[Running, Running], client_of: ClientOf) -> None:
    dies, lives = pair
    ours, theirs = client_of(lives.url), client_of(dies.url)
    streamed, polled = theirs.responses.create(**LONG), theirs.responses.create(**LONG)
    last = list[Any]()

    def follow() -> float:
        for event in ours.responses.retrieve(streamed.id, stream=True):
            last[:] = [event]
        return time.monotonic()

    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(follow)
        until(lambda: last and last[0].sequence_number > 6)
        until(lambda: ours.responses.retrieve(polled.id).status == "in_progress")
        killed = kill(dies)
        assert following.result(60) - killed < SOON
    assert last[0].type == "response.failed" and "has died" in last[0].response.error.message
    failed = until(lambda: (found := ours.responses.retrieve(polled.id)).status == "failed" and found, SOON)
    assert failed.error is not None and "has died" in failed.error.message and time.monotonic() - killed < SOON


def test_files_whose_reader_dies(pair: tuple[Running, Running], client_of: ClientOf) -> None:
    dies, lives = pair
    ours, theirs = client_of(lives.url), client_of(dies.url)
    store = theirs.vector_stores.create(name="many")
    text = b"The walrus sleeps on the ice, and the seal beside it. " * 400
    files = [theirs.files.create(file=(f"{n}.txt", text), purpose="assistants").id for n in range(6)]
    theirs.vector_stores.file_batches.create(store.id, file_ids=files)
    until(lambda: metric(dies, "files_being_read"))
    kill(dies)
    done = until(lambda: (found := ours.vector_stores.retrieve(store.id)).file_counts.in_progress == 0 and found, 300)
    assert (done.file_counts.completed, done.file_counts.total) == (6, 6)
    assert all(ours.files.content(file).read() == text for file in files)


@pytest.mark.slow
def test_a_batch_whose_worker_dies(pair: tuple[Running, Running], client_of: ClientOf) -> None:
    dies, lives = pair
    ours, theirs = client_of(lives.url), client_of(dies.url)
    line = {"method": "POST", "url": "/v1/chat/completions", "body": BODY}
    content = "\n".join(json.dumps({**line, "custom_id": f"c{number}"}) for number in range(40)).encode()
    file = theirs.files.create(file=("in.jsonl", content), purpose="batch")
    batch = theirs.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    until(lambda: (counts := ours.batches.retrieve(batch.id).request_counts) and counts.completed > 2)
    kill(dies)
    done = until(lambda: (found := ours.batches.retrieve(batch.id)).status == "completed" and found, 300)
    assert done.request_counts and done.request_counts.completed == 40


def completed(url: str) -> httpx.Response:
    return httpx.post(f"{url}/v1/completions", json={"model": "smollm2", "prompt": "Hi", "max_tokens": 2}, timeout=60)


@pytest.mark.slow
def test_through_nginx_who_waits_for_the_killed_reads_an_error_and_who_comes_next_an_answer(pair: tuple[Running, Running]) -> None:
    with nginx([server.url for server in pair]) as url, ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(httpx.post, f"{url}/v1/chat/completions", json=CHAT, timeout=120) for _ in range(4)]
        until(lambda: all(metric(server, "requests_running") == 2 for server in pair))
        killed = kill(pair[0])
        until(lambda: sum(waiter.done() for waiter in waiting) == 2, SOON)
        assert time.monotonic() - killed < SOON
        assert all(completed(url).is_success for _ in range(6))
        answers = sorted((waiter.result(120) for waiter in waiting), key=lambda answer: answer.status_code)
        assert [answer.status_code for answer in answers] == [200, 200, 502, 502]
        assert answers[-1].json()["error"]["code"] == "server_gone" and answers[-1].headers["retry-after"]


@pytest.mark.slow
def test_nginx_asks_nobody_who_is_not_ready(pair: tuple[Running, Running], replicas: Replicas) -> None:
    """One that is loading, and one that is stopping: who comes meanwhile gets an answer from the other."""
    port = free_port()
    with nginx([pair[0].url, f"http://127.0.0.1:{port}"]) as url, ThreadPoolExecutor(1) as pool:
        starting = pool.submit(replicas.start, port=port)
        while not starting.done():
            assert (answer := completed(url)).is_success, answer.text
        (started,) = starting.result()
        until(lambda: completed(url) and metric(started, "generated_tokens_total"))
        started.process.send_signal(signal.SIGTERM)
        while started.process.poll() is None:
            assert (answer := completed(url)).is_success, answer.text


@pytest.mark.slow
def test_one_that_is_stopped_leaves_its_work_at_once(pair: tuple[Running, Running], client_of: ClientOf) -> None:
    stops, lives = pair
    ours, theirs = client_of(lives.url), client_of(stops.url)
    begun = theirs.responses.create(**LONG)
    until(lambda: ours.responses.retrieve(begun.id).status == "in_progress")
    stops.process.send_signal(signal.SIGTERM)
    until(lambda: httpx.get(f"{stops.url}/ready").status_code == 503, 5)
    stops.process.wait(60)  # --drain-seconds, and what it takes to close
    until(lambda: ours.responses.retrieve(begun.id).status == "failed", 5)


@pytest.mark.slow
def test_readiness_while_the_database_is_away(pair: tuple[Running, Running], client_of: ClientOf, postgres: PostgresServer) -> None:
    begun, other = client_of(pair[0].url).responses.create(**LONG), client_of(pair[1].url)
    until(lambda: other.responses.retrieve(begun.id).status == "in_progress")
    postgres.stop(signal.SIGKILL)
    try:
        for server in pair:
            away = until(lambda server=server: (found := httpx.get(f"{server.url}/ready")).status_code == 503 and found, 30)
            assert away.json() == {"status": "degraded", "reason": "the database does not answer now"}
            assert httpx.get(f"{server.url}/health").status_code == 200
            assert httpx.post(
                f"{server.url}/v1/completions", json={"model": "smollm2", "prompt": "Hi", "max_tokens": 2}, timeout=60
            ).is_success
        time.sleep(8)  # longer than the silent are taken for alive
    finally:
        postgres.start()
    for server in pair:
        until(lambda server=server: httpx.get(f"{server.url}/ready").status_code == 200)
    time.sleep(3)
    assert other.responses.retrieve(begun.id).status == "in_progress"  # nobody was taken for dead because the database was away
    assert other.responses.cancel(begun.id).status == "cancelled"
