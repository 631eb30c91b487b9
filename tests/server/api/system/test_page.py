"""The page at /: who gets it, what it may load, how long browsers keep it."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from server.api.system import page
from tests.server.fakes import FakeEngine, ask, ready, says, text

TEXT = text()
BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8", "accept-encoding": "gzip, br"}
PLAIN = BROWSER | {"accept-encoding": "identity"}
INDEX, SCRIPT = "<!doctype html><title>Stoa</title>", "console.log(1)"


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text(INDEX)
    (tmp_path / "assets" / "index-a1b2.js").write_text(SCRIPT)
    (tmp_path / "stamp").write_text("not for browsers")
    monkeypatch.setattr(page.Page.__init__, "__defaults__", (tmp_path,))
    return tmp_path


def app(**settings: Any) -> Starlette:
    return ready(FakeEngine(says("Hi.", TEXT)), TEXT, **settings)[0]


def test_browsers_get_the_page_and_nobody_needs_a_key_for_it(built: Path) -> None:
    served = app(api_keys=("k",))
    index = ask(served, "GET", "/", headers=PLAIN)
    assert index.text == INDEX and index.headers["content-type"].startswith("text/html") and index.headers["cache-control"] == "no-cache"
    script = ask(served, "GET", "/assets/index-a1b2.js", headers=PLAIN)
    assert script.text == SCRIPT and "immutable" in script.headers["cache-control"]
    assert script.headers["content-type"].startswith("text/javascript")
    assert ask(served, "GET", "/", headers={"accept": "*/*"}).text == "Stoa is running\n"
    assert ask(served, "GET", "/v1/models", headers=PLAIN).status_code == 401


def test_it_comes_packed_and_is_asked_for_once(built: Path) -> None:
    served = app()
    packed = ask(served, "GET", "/", headers=BROWSER)
    assert packed.headers["content-encoding"] == "gzip" and packed.text == INDEX
    assert int(packed.headers["content-length"]) == len(gzip.compress(INDEX.encode(), 9))
    again = ask(served, "GET", "/", headers=BROWSER | {"if-none-match": packed.headers["etag"]})
    assert again.status_code == 304 and not again.content


def test_its_policy_lets_nothing_of_strangers_in(built: Path) -> None:
    for path in ("/", "/assets/index-a1b2.js"):
        headers = ask(app(), "GET", path, headers=BROWSER).headers
        rules = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
        assert rules["default-src"] == "'self'" and rules["img-src"] == "'self' data: blob:" and rules["frame-ancestors"] == "'none'"
        assert not {"script-src", "style-src", "connect-src"} & rules.keys()  # as default-src: nothing inline, no other host
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"


def test_other_paths_are_still_the_apis(built: Path) -> None:
    for path in ("/stamp", "/assets/missing.js", "/assets/../index.html", "/chat"):
        assert ask(app(), "GET", path, headers=BROWSER).json()["error"]["code"] == "not_found"
    assert ask(app(), "POST", "/assets/index-a1b2.js").status_code == 405


def test_without_a_built_page_browsers_are_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page.Page.__init__, "__defaults__", (tmp_path / "nothing",))
    assert "scripts/page" in ask(app(), "GET", "/", headers=BROWSER).text


def test_it_can_be_turned_off(built: Path) -> None:
    served = app(page=False)
    assert ask(served, "GET", "/", headers=BROWSER).text == "Stoa is running\n"
    assert ask(served, "GET", "/assets/index-a1b2.js", headers=BROWSER).status_code == 404
