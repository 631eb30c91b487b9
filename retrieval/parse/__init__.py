"""Files into documents. `sandbox` is the side that the program talks to; everything else runs in its subprocess, where a file
may do what it likes. That side imports neither numpy nor anything of the program but this package."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrieval.parse.limits import Limits
    from retrieval.parse.sandbox import SubprocessParser

__all__ = ["Limits", "SubprocessParser"]


def __getattr__(name: str) -> object:
    """Imported when asked for: the subprocess imports this package, and needs none of them."""
    if name == "SubprocessParser":
        from retrieval.parse.sandbox import SubprocessParser

        return SubprocessParser
    if name == "Limits":
        from retrieval.parse.limits import Limits

        return Limits
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
