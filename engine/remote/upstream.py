"""One server behind this one, and the choice among several: the least loaded, or the one that has computed the same beginning."""

from collections import OrderedDict
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from engine.api import Request

FIRST_PREFIX = 32  # tokens; longer ones double
MAX_PREFIXES = 1 << 16  # that are remembered
SLACK = 4  # requests that an upstream may have more than the least loaded one, for the sake of what it has cached


@dataclass(slots=True, eq=False)
class Upstream:
    """`name` is for clients, who are not told where it is. Changed by its watcher's thread and by the event loop."""

    name: str
    url: str  # without /v1
    fault: str | None = "it has not answered yet"  # why no requests go there; None: they do
    priorities: bool = True  # it takes `priority`
    salts: bool = True  # it takes `cache_salt`
    lark: bool = True  # it takes grammars in the syntax of llguidance
    running: int = 0
    begun: int = 0

    @contextmanager
    def counted(self) -> Generator[None]:
        self.running += 1
        self.begun += 1
        try:
            yield
        finally:
            self.running -= 1


class Pool:
    """Used from the event loop's thread."""

    def __init__(self, upstreams: Sequence[Upstream]) -> None:
        self.upstreams = tuple(upstreams)
        self._homes = OrderedDict[int, Upstream]()  # hashes of prompts' beginnings -> who computed them last

    @property
    def fault(self) -> str | None:
        """None while any of them takes requests."""
        faults = [f"{one.name}: {one.fault}" for one in self.upstreams if one.fault is not None]
        return "; ".join(faults) if len(faults) == len(self.upstreams) else None

    def choose(self, request: Request, tried: Collection[Upstream]) -> Upstream | None:
        """One that has not been tried; None: there is none."""
        usable = [one for one in self.upstreams if one.fault is None and one not in tried]
        if not usable:
            return None
        least = min(usable, key=lambda one: (one.running, one.begun))
        prefixes = list(_prefixes(request))
        home = next((self._homes[prefix] for prefix in reversed(prefixes) if prefix in self._homes), least)
        chosen = home if home in usable and home.running < least.running + SLACK else least
        self._remember(prefixes, chosen)
        return chosen

    def _remember(self, prefixes: Sequence[int], chosen: Upstream) -> None:
        for prefix in prefixes:
            self._homes[prefix] = chosen
            self._homes.move_to_end(prefix)
        while len(self._homes) > MAX_PREFIXES:
            self._homes.popitem(last=False)


def _prefixes(request: Request) -> Iterator[int]:
    """Of twice the length each time, so that all of a long prompt is hashed about twice. Caches are kept for each owner apart."""
    length = FIRST_PREFIX
    while length <= len(request.tokens):
        yield hash((request.owner, request.salt, request.tokens[:length]))
        length *= 2
