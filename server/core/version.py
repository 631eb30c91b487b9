"""Which Stoa this is."""

from importlib.metadata import PackageNotFoundError, version


def our_version() -> str:
    """0: run from a source tree that was never installed."""
    try:
        return version("stoa")
    except PackageNotFoundError:
        return "0"
