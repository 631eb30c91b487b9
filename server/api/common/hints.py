"""Hints that several APIs have: fields without an effect on this server (server/http/warnings.py)."""

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import StringConstraints

from server.core.errors import bad_request
from server.core.request import RequestWarning
from server.http.warnings import Hint, Silent

CACHE_HINT = Hint("prompt prefixes are always cached, for as long as there is room", silent=("in_memory", "in-memory"))
TIER_HINT = Hint("this server has one tier of service", silent=("auto", "default", "standard", "standard_only"))
VERBOSITY_HINT = Hint("this model cannot be told how much to say", silent=("medium",))
CONTEXT_HINT = Hint("earlier messages are left as they are")
OBFUSCATION_HINT = Hint("events are not padded", silent=(False,))
PRIORITY_HINT = Hint("a request cannot put itself before others", silent=range(2**31))
SPACES_HINT = Hint("special tokens are written as they are", silent=(False,))
WHO = Silent("it names the user to the server, which knows callers by their keys")
CACHED = Silent("prompt prefixes are always cached")

# a word that has no effect whatever it is: newer clients know more of them than this server
HintWord = Annotated[str, StringConstraints(min_length=1, max_length=64)]


def hosted_tool_warnings(hosted: Sequence[tuple[str, str]], tools: int) -> Iterator[RequestWarning]:
    """Of tools that nobody here can run, by field and type: they are left out. Raises ApiError where the request has no others;
    `tools`: how many it has."""
    if hosted and len(hosted) == tools:
        field, kind = hosted[0]
        raise bad_request(field, f"{field}: this server has no tools of type {kind}", "unsupported")
    for field, kind in hosted:
        yield RequestWarning(param=field, message=f"{field} has no effect: this server has no tools of type {kind}")
