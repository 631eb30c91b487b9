"""Parses files into documents. `sandbox` and `office.old.conversion` run in the server process, everything else in its subprocess, which a
malicious file may take over. The subprocess imports neither numpy nor anything of the program outside this package
and `retrieval.sandbox`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrieval.parse.limits import Limits
    from retrieval.parse.sandbox import SubprocessParser

__all__ = ["Limits", "SubprocessParser"]


def __getattr__(name: str) -> object:
    """Imports on first access: the subprocess imports this package and needs neither class."""
    if name == "SubprocessParser":
        from retrieval.parse.sandbox import SubprocessParser

        return SubprocessParser
    if name == "Limits":
        from retrieval.parse.limits import Limits

        return Limits
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
