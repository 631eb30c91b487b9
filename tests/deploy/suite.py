"""The containers, really run: `python -m tests.deploy.suite [--no-build]` builds the image for CPUs, brings docker-compose.yml up,
uses it, kills and restarts what is in it, and takes it down; then two servers behind nginx. Prints what it does and how long it takes."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.deploy.client import Client
from tests.deploy.cluster import run_cluster
from tests.deploy.compose_file import read_compose
from tests.deploy.containers import (
    IMAGE,
    Containers,
    find_containers,
    free_port,
    main_or_missing,
    postgres_override,
    say,
    timed,
    wait_until,
)

STOCK = "CREATE TABLE stock (item text, amount int); INSERT INTO stock VALUES ('lamp', 42), ('chair', 7)"
AS_SUPERUSER = (
    "import sys, psycopg; from pathlib import Path; password = Path('/secrets/admin/postgres_password').read_text().strip(); "
    "psycopg.connect(host='postgres', user='postgres', dbname='work', password=password, autocommit=True).execute(sys.argv[1])"
)
ASK_PROMETHEUS = "import urllib.request as r; print(r.urlopen('http://prometheus:9090/api/v1/query?query=up').read().decode())"
TOUCH = "touch /opt/stoa/x 2>&1; touch /data/tmp/x && rm /data/tmp/x && echo written"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        containers = find_containers("stoa-test", ("docker-compose.yml",), {"STOA_PORT": str(free_port())})
        say(containers.run("--version"))
        override = postgres_override(containers, Path(folder))
        files = (*containers.files, *([str(override)] if override else []))
        containers = replace(containers, files=files).with_profiles()
        if "--no-build" not in sys.argv:
            build(containers)
        inspect_image(containers)
        with up(containers) as client:
            use(containers, client)
        run_cluster(containers, up)


def build(containers: Containers) -> None:
    options = torch_options()
    given = ["--build-arg", f"TORCH_OPTIONS={options}"] if options is not None else []
    network = ["--network", "host"] if containers.program == "podman" else []
    with timed("the image for CPUs is built"):
        containers.run("build", *network, "--target", "cpu", *given, "-t", IMAGE, ".", timeout=3600)


def torch_options() -> str | None:
    """Where pip on this machine has wheels on its disk, builds look, too."""
    if (given := os.environ.get("TORCH_OPTIONS")) is not None:
        return given
    pip = subprocess.run([sys.executable, "-m", "pip", "config", "get", "global.find-links"], capture_output=True, text=True)
    links = os.environ.get("PIP_FIND_LINKS") or pip.stdout.strip()
    return f"--find-links {links}" if links else None


def inspect_image(containers: Containers) -> None:
    image = json.loads(containers.run("image", "inspect", IMAGE))[0]
    say(f"it has {image['Size'] / 1e6:.0f} MB and runs as {image['Config']['User']}")
    assert image["Config"]["User"] == "10001:10001"
    assert "health.py" in str(image.get("Healthcheck") or image["Config"].get("Healthcheck"))
    assert not [line for line in image["Config"]["Env"] if "KEY" in line or "PASSWORD" in line]
    tools = "for tool in gcc g++ cc c++ clang make cmake; do command -v $tool; done; id -u"
    assert containers.run("run", "--rm", IMAGE, "sh", "-c", tools) == "10001", "no compiler, and no rights"
    refusal = containers.run("run", "--rm", IMAGE, check=False)
    assert "requires an API key" in refusal, refusal
    say("it has no compiler, and does not start without a key")


@contextmanager
def up(containers: Containers, *services: str) -> Iterator[Client]:
    """Up to the first answer; taken down at the end, volumes and all."""
    try:
        yield first_answer(containers, *services)
    except BaseException:
        print(containers.compose("logs", "--tail", "30"), file=sys.stderr)
        raise
    finally:
        with timed("taken down"):
            containers.with_profiles("cpu", "cluster", "watch").compose("down", "-v", "-t", "10")
        left = containers.run("ps", "-a", "--filter", f"label=com.docker.compose.project={containers.project}", "--format", "{{.Names}}")
        assert not left, left


def first_answer(containers: Containers, *services: str) -> Client:
    began = time.monotonic()
    containers.compose("up", "-d", *services, timeout=900)
    say(f"`up -d` returned after {time.monotonic() - began:.1f} s")
    key = containers.compose("run", "--rm", "secrets", "cat", "/secrets/server/api_key").splitlines()[-1]
    client = Client(f"http://127.0.0.1:{containers.environment['STOA_PORT']}", key)
    wait_until("/ready", lambda: client.status("/ready") == 200, 600)
    answer = client.capital()
    assert "Paris" in answer, answer
    say(f"first answer {time.monotonic() - began:.1f} s after `up`: {answer!r}")
    return client


def use(containers: Containers, client: Client) -> None:
    guarded(containers, client)
    store = documents(client)
    tools(containers, client)
    watched(containers)
    stored = client.remembered("The word is heliotrope.")

    def all_is_there() -> None:
        assert "Paris" in client.capital()
        answer, quotes = client.grounded(store)
        assert "31 days" in answer and quotes, (answer, quotes)
        assert client.openai.responses.retrieve(stored).id == stored

    killed_server(containers, client)
    all_is_there()
    killed_database(containers, client)
    all_is_there()
    with timed("SIGTERM in the middle of an answer: it was answered to its end, and the server had stopped"):
        stopped_in_peace(containers, client)
    assert_log(containers)
    containers.compose("down", "-t", "20")
    say("taken down without its volumes, and up again:")
    assert first_answer(containers).key == client.key
    all_is_there()


def guarded(containers: Containers, client: Client) -> None:
    assert Client(client.url, "sk-wrong").status("/v1/models") == 401
    assert client.status("/health") == 200
    found = containers.exec("stoa", "sh", "-c", TOUCH)
    assert "Read-only file system" in found and "written" in found, found
    wait_until("healthy", lambda: is_healthy(containers, "stoa"))
    ports = containers.run("port", containers.name("stoa"))
    assert ports.rpartition("-> ")[2].startswith("127.0.0.1:"), ports
    say("healthy, on 127.0.0.1 alone, behind a key, with a root file system that is read-only")


def is_healthy(containers: Containers, service: str) -> bool:
    """podman checks by itself only where systemd runs."""
    name = containers.name(service)
    if containers.program == "podman":
        return subprocess.run(["podman", "healthcheck", "run", name], capture_output=True).returncode == 0
    return containers.state(name)["Health"]["Status"] == "healthy"


def documents(client: Client) -> str:
    with timed("a document is read"):
        store = client.with_document()
    with timed("an answer out of it"):
        answer, quotes = client.grounded(store)
    assert "31 days" in answer and any("31 days" in quote for quote in quotes), (answer, quotes)
    say(f"{answer!r} rests on {quotes[0]!r}")
    failed, found = client.call_tool("knowledge", "search", {"query": "paid leave"})
    assert not failed and "31 days" in found, found
    return store


def tools(containers: Containers, client: Client) -> None:
    containers.compose("run", "--rm", "databases", "python", "-c", AS_SUPERUSER, STOCK)
    with timed("a query over MCP"):
        failed, rows = client.call_tool("database", "query", {"sql": "SELECT amount FROM stock WHERE item = 'lamp'"})
    assert not failed and "42" in rows, rows
    failed, said = client.call_tool("database", "query", {"sql": "DELETE FROM stock RETURNING item"})
    assert failed, said
    other = "import psycopg; psycopg.connect('postgresql://reader@postgres/stoa')"
    assert "permission denied" in containers.exec("stoa", "python", "-c", other, check=False), "it reads no other database"
    failed, listed = client.call_tool("files", "list_directory", {"path": "/documents"})
    assert not failed and "api.md" in listed, listed
    say(f"tools over MCP: {rows}; a deletion is refused, and so is the other database; files are listed")


def watched(containers: Containers) -> None:
    """Prometheus reads /metrics with a key of its own."""
    image = read_compose({})["services"]["prometheus"]["image"]
    if not containers.has_image(image):
        say(f"not tried: the image {image} is not on this machine")
        return
    containers.with_profiles("cpu", "watch").compose("up", "-d", "prometheus")
    with timed("Prometheus has read /metrics"):
        wait_until("a scrape", lambda: '"1"]' in containers.exec("stoa", "python", "-c", ASK_PROMETHEUS, check=False))
    containers.run("rm", "-f", containers.name("prometheus"))


def killed_server(containers: Containers, client: Client) -> None:
    """Started again by hand: podman restarts by itself only what has no dependencies that have ended."""
    name = containers.name("stoa")
    containers.run("kill", "-s", "KILL", name)
    with timed("kill -9 of the server; started again and ready"):
        containers.run("start", name)
        wait_until("ready after kill -9", lambda: client.status("/ready") == 200)


def killed_database(containers: Containers, client: Client) -> None:
    name = containers.name("postgres")
    containers.run("kill", "-s", "KILL", name)
    wait_until("/ready tells that the database is away", lambda: client.status("/ready") == 503)
    assert client.status("/health") == 200, "a restart of the server would not mend it"
    assert "Paris" in client.capital()
    containers.run("start", name)
    with timed("kill -9 of PostgreSQL: chats went on without it; started again, and the server is ready without a restart"):
        wait_until("ready after the database came back", lambda: client.status("/ready") == 200)


def stopped_in_peace(containers: Containers, client: Client) -> None:
    question = {"role": "user", "content": "Tell me a long story about the sea."}
    stream = client.openai.chat.completions.create(model="smollm2", messages=[question], max_tokens=400, temperature=0, stream=True)  # pyright: ignore[reportArgumentType, reportCallIssue]
    next(stream)
    name = containers.name("stoa")
    stopping = threading.Thread(target=containers.run, args=("stop", "-t", "60", name))
    stopping.start()
    reasons = [choice.finish_reason for chunk in stream for choice in chunk.choices if choice.finish_reason]
    stopping.join()
    assert reasons in (["stop"], ["length"]), reasons
    assert containers.state(name)["ExitCode"] == 0, containers.state(name)


def assert_log(containers: Containers) -> None:
    log = containers.logs(containers.name("stoa"))
    assert "smollm2 is ready" in log and "POST /v1/chat/completions 200" in log, log
    say("the log is on standard output")


if __name__ == "__main__":
    sys.exit(main_or_missing(main))
