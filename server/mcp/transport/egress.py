"""Limits which addresses connections to MCP servers may reach. A server that requires OAuth names URLs for the client to fetch
(RFC 9728, RFC 8414) and could name services of our own network (server-side request forgery)."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncGenerator

import httpx2

MAX_MESSAGE_BYTES = 16 << 20  # of one message: an HTTP response that is no event stream, or a line on stdio
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052
PORTS = {"http": 80, "https": 443}


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Passes requests to the origin of `url` and to `hosts`; all others must be https to a public address. The name is resolved once,
    and the checked address is the one connected to (no DNS rebinding). Uses no proxy, which would resolve the name itself."""

    def __init__(self, url: str, hosts: frozenset[str]) -> None:
        self.origin, self.hosts = _origin(httpx2.URL(url)), {host.lower() for host in hosts}
        self.inner = httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if _origin(request.url) == self.origin or request.url.host in self.hosts:
            return await self.inner.handle_async_request(request)
        return await self.inner.handle_async_request(await _resolve(request))

    async def aclose(self) -> None:
        await self.inner.aclose()


async def _resolve(request: httpx2.Request) -> httpx2.Request:
    """The same request to the resolved, public address; the certificate is checked against, and the Host header holds, the name.
    Raises httpx2.ConnectError."""
    url = request.url
    if url.scheme != "https" or url.userinfo:
        raise httpx2.ConnectError(f"{_without_credentials(url)} is refused: it must be https, without a user name", request=request)
    address = await _public_address(url, request)
    extensions = {**request.extensions, "sni_hostname": url.host}
    target = url.copy_with(host=address)
    return httpx2.Request(request.method, target, headers=request.headers, stream=request.stream, extensions=extensions)


async def _public_address(url: httpx2.URL, request: httpx2.Request) -> str:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(url.host, url.port or PORTS[url.scheme], type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpx2.ConnectError(f"{_without_credentials(url)}: there is no such host", request=request) from error
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses or not all(map(_is_public, addresses)):
        message = f"{_without_credentials(url)} is refused: it is not on the public internet (an operator may name its host in oauth.hosts)"
        raise httpx2.ConnectError(message, request=request)
    return addresses[0]


def _is_public(address: str) -> bool:
    """IPv4 addresses embedded in IPv6 (mapped, 6to4, NAT64) are judged as the IPv4 address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ipaddress.IPv4Address(ip.packed[-4:]) if ip in NAT64 else ip.ipv4_mapped or ip.sixtofour or ip
    return ip.is_global and not ip.is_multicast


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or PORTS.get(url.scheme)


def _without_credentials(url: httpx2.URL) -> str:
    return f"{url.scheme}://{url.host}{url.path}"


async def limit_response_size(response: httpx2.Response) -> None:
    """A response hook: reading more than MAX_MESSAGE_BYTES raises httpx2.ReadError, except in event streams. So does a compressed
    answer, whose size is not known before it is unpacked and which was not asked for."""
    if (coding := response.headers.get("content-encoding", "identity").lower()) != "identity":
        raise httpx2.ReadError(f"the answer is compressed ({coding[:20]}), which was not asked for")
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _LimitedStream(response.stream)


class _LimitedStream(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self.inner = inner

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        size = 0
        async for chunk in self.inner:
            size += len(chunk)
            if size > MAX_MESSAGE_BYTES:
                raise httpx2.ReadError(f"the answer is longer than {MAX_MESSAGE_BYTES} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self.inner.aclose()
