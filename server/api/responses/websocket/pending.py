"""What a client has sent and waits for its turn."""

import asyncio
from collections import deque

MOST_PENDING = 8  # messages


class Pending:
    """At most `most_bytes` and MOST_PENDING messages, besides the one that is being answered. The connection is read all the time, or
    neither its end nor its answers to pings would be noticed."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes, self._bytes = most_bytes, 0
        self._messages = deque[bytes]()
        self._arrived = asyncio.Event()

    def add(self, message: bytes) -> bool:
        """False: there are too many already, and it was not taken."""
        if len(self._messages) >= MOST_PENDING or (self._messages and self._bytes + len(message) > self._most_bytes):
            return False
        self._messages.append(message)
        self._bytes += len(message)
        self._arrived.set()
        return True

    async def take(self) -> bytes:
        """The oldest; waits for one."""
        while not self._messages:
            self._arrived.clear()
            await self._arrived.wait()
        message = self._messages.popleft()
        self._bytes -= len(message)
        return message
