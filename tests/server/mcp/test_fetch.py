"""Images named by URL: fetched from where the operator allows, and nowhere else, wherever they lead."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from server.core.errors import ApiError
from server.mcp.fetch import ImageLinks
from server.mcp.transport import egress

LINKS = ImageLinks(frozenset({"pictures.example"}), 1000)
URL = "https://pictures.example/a.png"
Answer = Callable[[httpx2.Request], httpx2.Response]


def fetch(monkeypatch: pytest.MonkeyPatch, answer: Answer, url: str = URL, address: str = "8.8.8.8") -> bytes:
    """Names are resolved to `address`, where `answer` answers."""

    def resolve(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(egress.httpx2, "AsyncHTTPTransport", lambda: httpx2.MockTransport(answer))
    return asyncio.run(LINKS.fetch(url, "image_url"))


def moved_to(url: str) -> Answer:
    return lambda request: httpx2.Response(302, headers={"location": url})


def test_an_image_comes_from_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[httpx2.Request]()

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(302, headers={"location": "/b.png"}) if len(asked) == 1 else httpx2.Response(200, content=b"png")

    assert fetch(monkeypatch, answer) == b"png"
    assert [(request.url.host, request.url.path) for request in asked] == [("8.8.8.8", "/a.png"), ("8.8.8.8", "/b.png")]
    assert asked[0].headers["host"] == "pictures.example"


REFUSED: dict[str, tuple[Answer, str, str]] = {
    "another host": (moved_to(""), "https://other.example/a.png", "from pictures.example alone"),
    "no https": (moved_to(""), "http://pictures.example/a.png", "over https"),
    "a file": (moved_to(""), "file:///etc/passwd", "over https"),
    "led elsewhere": (moved_to("https://other.example/"), URL, "not from https://other.example"),
    "led to http": (moved_to("http://pictures.example/"), URL, "over https"),
    "led on and on": (moved_to("/again"), URL, "more than 3 redirects"),
    "missing": (lambda request: httpx2.Response(404), URL, "status 404"),
    "too long": (lambda request: httpx2.Response(200, content=b"x" * 1001), URL, "more than 0 MiB"),
    "no URL": (moved_to(""), "https://a:b", "could not be fetched"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, url, message = REFUSED[what]
    with pytest.raises(ApiError) as refused:
        fetch(monkeypatch, answer, url)
    assert message in refused.value.message and (refused.value.status, refused.value.param) == (400, "image_url")


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "64:ff9b::7f00:1"])
def test_addresses_that_are_not_public(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ApiError, match="not on the public internet"):
        fetch(monkeypatch, lambda request: httpx2.Response(200, content=b"secret"), address=address)
