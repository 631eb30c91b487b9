"""What monitoring/ says is true of the metrics of a running server."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.server.conftest import ROOT, Running, free_port, running
from tests.server.runtime.tracing.test_tracing_real import QUESTION, filled_store

MONITORING = ROOT / "monitoring"
DASHBOARD = json.loads((MONITORING / "grafana/dashboards/stoa.json").read_text())
TARGETS = [(panel["title"], target) for panel in DASHBOARD["panels"] for target in panel["targets"]]
SELECTOR = re.compile(r"\b([a-z_]+)\{([^}]*)\}")
MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
BY = re.compile(r"\bby \(([\w, ]*)\)")
OF_PROMETHEUS = {"up": {"job", "instance"}}  # what it adds by itself


@pytest.fixture(scope="module")
def watched(smollm2: str, minilm: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """With two models, for the metrics of each are told apart then."""
    models = ("--model", f"one={smollm2}", "--model", f"two={smollm2}")
    with running(tmp_path_factory.mktemp("watched") / "log", *models, "--context", "2048") as server:
        work(server.url)
        yield server


def work(url: str) -> None:
    """Chats with documents and with a tool."""
    search = {"type": "file_search", "vector_store_ids": [filled_store(url)]}
    chat = {"messages": [{"role": "user", "content": QUESTION}], "tools": [search], "max_tokens": 8}
    for model in ("one", "two"):
        httpx.post(f"{url}/v1/chat/completions", json={"model": model, **chat}, timeout=120).raise_for_status()
    tool = {"type": "mcp", "server_label": "knowledge", "allowed_tools": ["search"], "require_approval": "never"}
    asked = {"input": QUESTION, "tools": [tool], "tool_choice": "required", "max_output_tokens": 60}
    httpx.post(f"{url}/v1/responses", json={"model": "one", **asked}, timeout=120).raise_for_status()


@pytest.fixture(scope="module")
def known(watched: Running) -> dict[str, set[str]]:
    """Labels of each sample."""
    found: dict[str, set[str]] = {name: {*labels} for name, labels in OF_PROMETHEUS.items()}
    for family in text_string_to_metric_families(httpx.get(f"{watched.url}/metrics").text):
        for sample in family.samples:
            found.setdefault(sample.name, {"job", "instance"}).update(sample.labels)
    return found


@pytest.mark.parametrize(("title", "target"), TARGETS, ids=[f"{title}-{target['refId']}" for title, target in TARGETS])
def test_a_panel_shows_what_there_is(title: str, target: dict[str, str], known: dict[str, set[str]]) -> None:
    expression = target["expr"]
    selected = SELECTOR.findall(expression)
    assert selected and len(selected) == len(re.findall(r"\bstoa_\w+|\bup\b", expression.replace('"stoa"', ""))), (
        "each metric has its labels"
    )
    for name, matchers in selected:
        assert name in known, name
        assert set(MATCHER.findall(matchers)) <= known[name]
    labels = {label.strip() for found in BY.findall(expression) for label in found.split(",")}
    assert labels <= set().union(*(known[name] for name, _ in selected))
    assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels
    assert set(re.findall(r"\$\w+", expression)) <= {"$instance", "$__rate_interval"}


def test_panels_stand_beside_each_other() -> None:
    panels = DASHBOARD["panels"]
    taken = [
        (x, y)
        for panel in panels
        for p in [panel["gridPos"]]
        for x in range(p["x"], p["x"] + p["w"])
        for y in range(p["y"], p["y"] + p["h"])
    ]
    assert len(taken) == len(set(taken)) and max(x for x, _ in taken) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_the_parts_know_each_other() -> None:
    sources = read("grafana/provisioning/datasources/stoa.yaml")["datasources"]
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} <= {source["uid"] for source in sources}
    (scraped,) = read("prometheus.yml")["scrape_configs"]
    assert scraped["job_name"] == "stoa" and scraped.get("metrics_path", "/metrics") == "/metrics"
    collector = read("otel-collector.yaml")
    (pipeline,) = collector["service"]["pipelines"].values()
    for kind, used in pipeline.items():
        assert set(used) == set(collector[kind])
    assert collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"].endswith(":4318")  # where OTLP over HTTP is looked for


def test_the_containers_find_each_other() -> None:
    """Hosts are services of docker-compose.yml, and what is read there is mounted there."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    (scraped,) = read("prometheus.yml")["scrape_configs"]
    (found,) = scraped["dns_sd_configs"]
    assert {*found["names"]} == {name for name, service in services.items() if "STOA_API_KEY_FILE" in service.get("environment", {})}
    sources = read("grafana/provisioning/datasources/stoa.yaml")["datasources"]
    hosts = {urlsplit(source["url"]).hostname for source in sources}
    hosts |= {exporter["endpoint"].partition(":")[0] for exporter in read("otel-collector.yaml")["exporters"].values()}
    assert hosts <= services.keys()
    (provider,) = read("grafana/provisioning/dashboards/stoa.yaml")["providers"]
    assert f"./monitoring/grafana/dashboards:{provider['options']['path']}:ro" in services["grafana"]["volumes"]
    assert "./monitoring/prometheus.yml:/etc/prometheus/prometheus.yml:ro" in services["prometheus"]["volumes"]
    assert any(volume.endswith(":/secrets/watch:ro") for volume in services["prometheus"]["volumes"])


def read(name: str) -> Any:
    return yaml.safe_load((MONITORING / name).read_text())


@pytest.mark.slow
def test_prometheus_answers_every_panel(watched: Running, tmp_path: Path) -> None:
    """The real one, with our configuration but for where the server is, and how often it is asked."""
    config = read("prometheus.yml")
    config["global"]["scrape_interval"] = "1s"
    (job,) = config["scrape_configs"]
    del job["dns_sd_configs"]
    job["static_configs"] = [{"targets": [watched.url.removeprefix("http://")]}]
    job["authorization"]["credentials_file"] = str(tmp_path / "key")
    (tmp_path / "key").write_text("none")
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    with prometheus(tmp_path) as url:
        await_scrapes(url, 2)
        work(watched.url)
        await_scrapes(url, 3)
        for title, target in TARGETS:
            expression = target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")
            answer = httpx.get(f"{url}/api/v1/query", params={"query": expression}).json()
            assert answer["status"] == "success", (title, answer)
            numbers = [float(series["value"][1]) for series in answer["data"]["result"]]
            assert any(number >= 0 for number in numbers), (title, target["expr"], numbers)  # not only NaN


@contextmanager
def prometheus(folder: Path) -> Iterator[str]:
    program, port = shutil.which("prometheus"), free_port()
    assert program, "install prometheus: scripts/test --all does"
    options = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "log").open("wb") as log, subprocess.Popen([program, *options], stderr=log) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def await_scrapes(url: str, count: int) -> None:
    """So many more since now."""
    seen, end = set[str](), time.monotonic() + 60
    while len(seen) <= count:
        assert time.monotonic() < end
        try:
            found = httpx.get(f"{url}/api/v1/query", params={"query": "timestamp(up == 1)"}).json()["data"]["result"]
            seen |= {series["value"][1] for series in found}
        except httpx.TransportError:  # it starts
            pass
        time.sleep(0.2)
