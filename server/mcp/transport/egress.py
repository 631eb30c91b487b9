"""Where connections to MCP servers may go. A server that asks for OAuth names URLs for us to fetch (RFC 9728, RFC 8414): without
a guard it could point us at services of our own network (server-side request forgery)."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncGenerator

import httpx2

MESSAGE_BYTES = 16 << 20  # of one answer that is not a stream
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052
PORTS = {"http": 80, "https": 443}


class Guarded(httpx2.AsyncBaseTransport):
    """Lets through what goes to the operator's own URL, or to `hosts`; all else must be https to an address of the public
    internet, looked up once: the address that was checked is the one that is connected to. Goes through no proxy, which would look
    names up itself."""

    def __init__(self, url: str, hosts: frozenset[str]) -> None:
        self.own, self.hosts = _origin(httpx2.URL(url)), {host.lower() for host in hosts}
        self.inner = httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if _origin(request.url) == self.own or request.url.host in self.hosts:
            return await self.inner.handle_async_request(request)
        return await self.inner.handle_async_request(await _pinned(request))

    async def aclose(self) -> None:
        await self.inner.aclose()


async def _pinned(request: httpx2.Request) -> httpx2.Request:
    """The same request to the address that was looked up; certificate and Host header remain those of the name."""
    url = request.url
    if url.scheme != "https" or url.userinfo:
        raise httpx2.ConnectError(f"{_shown(url)} is refused: it must be https, without a user name", request=request)
    address = await _public_address(url, request)
    extensions = {**request.extensions, "sni_hostname": url.host}
    to = url.copy_with(host=address)
    return httpx2.Request(request.method, to, headers=request.headers, stream=request.stream, extensions=extensions)


async def _public_address(url: httpx2.URL, request: httpx2.Request) -> str:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(url.host, url.port or PORTS[url.scheme], type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpx2.ConnectError(f"{_shown(url)}: there is no such host", request=request) from error
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses or not all(map(_public, addresses)):
        message = f"{_shown(url)} is refused: it is not on the public internet (an operator may name its host in oauth.hosts)"
        raise httpx2.ConnectError(message, request=request)
    return addresses[0]


def _public(address: str) -> bool:
    """IPv4 within IPv6 counts as what it stands for."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ipaddress.IPv4Address(ip.packed[-4:]) if ip in NAT64 else ip.ipv4_mapped or ip.sixtofour or ip
    return ip.is_global and not ip.is_multicast


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or PORTS.get(url.scheme)


def _shown(url: httpx2.URL) -> str:
    return f"{url.scheme}://{url.host}{url.path}"


async def capped(response: httpx2.Response) -> None:
    """A hook for responses: what is no stream of events ends after MESSAGE_BYTES."""
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Capped(response.stream)


class _Capped(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self.inner = inner

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        size = 0
        async for part in self.inner:
            size += len(part)
            if size > MESSAGE_BYTES:
                raise httpx2.ReadError(f"the answer is longer than {MESSAGE_BYTES} bytes")
            yield part

    async def aclose(self) -> None:
        await self.inner.aclose()
