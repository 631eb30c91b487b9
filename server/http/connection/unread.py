"""What the system knows of a connection before anything is read."""

import asyncio
import select
import sys
from array import array


def waiting_bytes(transport: asyncio.BaseTransport) -> int:
    """How much the client has sent that lies in the system's buffer; 0 where the system does not tell."""
    if sys.platform == "win32" or (socket := transport.get_extra_info("socket")) is None:
        return 0
    import fcntl
    import termios

    size = array("i", [0])
    fcntl.ioctl(socket.fileno(), termios.FIONREAD, size)
    return size[0]


def has_hung_up(transport: asyncio.BaseTransport) -> bool:
    """Whether the client has closed its side after what it sent; False where the system does not tell."""
    if sys.platform != "linux" or (socket := transport.get_extra_info("socket")) is None:
        return False
    watched = select.poll()
    watched.register(socket.fileno(), select.POLLRDHUP)
    return bool(watched.poll(0))
