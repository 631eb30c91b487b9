"""Fetches images that requests name by URL, from the hosts that the operator allows, by the guard that connections to MCP servers pass."""

import asyncio
from dataclasses import dataclass

import httpx2

from server.core.errors import ApiError, bad_request
from server.mcp.transport.egress import GuardedTransport

MAX_REDIRECTS = 3
SECONDS = 15.0  # for all of them together
NOWHERE = "https://invalid"  # the origin that the guard lets pass unlooked at: no host has this name (RFC 6761)
HEADERS = {"accept": "image/*", "accept-encoding": "identity"}


@dataclass(frozen=True, slots=True)
class ImageLinks:
    """`hosts`: in small letters, without ports. `most`: bytes of an image."""

    hosts: frozenset[str]
    most: int

    async def fetch(self, url: str, param: str) -> bytes:
        """Raises ApiError, which names `param`, for a URL that is not https, leads elsewhere or to an address that is not public, and for
        an answer that is none, too long or takes too long."""
        try:
            async with asyncio.timeout(SECONDS), httpx2.AsyncClient(transport=GuardedTransport(NOWHERE, frozenset())) as client:
                return await self._followed(client, httpx2.URL(url), param)
        except TimeoutError:
            raise _refused(param, f"the image could not be fetched within {SECONDS:g} seconds") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            raise _refused(param, f"the image could not be fetched: {error}") from error

    async def _followed(self, client: httpx2.AsyncClient, url: httpx2.URL, param: str) -> bytes:
        for _ in range(MAX_REDIRECTS + 1):
            self._expect_allowed(url, param)
            async with client.stream("GET", url, headers=HEADERS) as answer:
                if not answer.is_redirect:
                    return await self._content(answer, param)
                url = url.join(answer.headers.get("location", ""))
        raise _refused(param, f"more than {MAX_REDIRECTS} redirects")

    def _expect_allowed(self, url: httpx2.URL, param: str) -> None:
        if url.scheme != "https" or url.host.lower() not in self.hosts:
            allowed = ", ".join(sorted(self.hosts))
            raise _refused(param, f"images are fetched over https from {allowed} alone, not from {url.scheme}://{url.host}")

    async def _content(self, answer: httpx2.Response, param: str) -> bytes:
        if answer.status_code != 200 or answer.headers.get("content-encoding", "identity").lower() != "identity":
            raise _refused(param, f"the image's server answered with the status {answer.status_code}, or compressed what it sent")
        data = bytearray()
        async for part in answer.aiter_bytes():
            data += part
            if len(data) > self.most:
                raise _refused(param, f"the image has more than {self.most >> 20} MiB", "image_file_too_large")
        return bytes(data)


def _refused(param: str, why: str, code: str = "invalid_image_url") -> ApiError:
    return bad_request(param, f"{param}: {why}", code)
