"""Remembers images that were seen: a conversation brings its own along with every turn."""

import hashlib
from collections import OrderedDict

from server.core.messages import SeenImage, SeenTiles

MAX_BYTES = 64 << 20  # of all tiles


class SeenImages:
    """Least recently used ones are dropped. What was seen for one owner, no other can tell by the time it takes. Used on one event loop."""

    def __init__(self, most: int = MAX_BYTES) -> None:
        self._known: OrderedDict[bytes, SeenImage] = OrderedDict()
        self._bytes, self._most = 0, most

    def get(self, key: bytes) -> SeenImage | None:
        if (found := self._known.get(key)) is not None:
            self._known.move_to_end(key)
        return found

    def put(self, key: bytes, image: SeenImage) -> None:
        if key in self._known or size_of(image) > self._most:
            return
        self._known[key] = image
        self._bytes += size_of(image)
        while self._bytes > self._most:
            _, dropped = self._known.popitem(last=False)
            self._bytes -= size_of(dropped)


def key_of(owner: str, data: bytes, *, low: bool) -> bytes:
    told = hashlib.blake2b(f"{owner} {low} ".encode(), digest_size=32)
    told.update(data)
    return told.digest()


def size_of(image: SeenImage) -> int:
    """Bytes of its tiles."""
    return sum(part.tiles.values.nbytes for part in image.parts if isinstance(part, SeenTiles))
