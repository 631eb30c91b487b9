"""Gives memory back to the system that large requests have left behind: the C library keeps what was freed for the next ones."""

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path

CHECK_INTERVAL = 10.0  # seconds
WORTH_IT = 64 << 20  # bytes that the process must have grown by
STATM = Path("/proc/self/statm")


async def give_back_memory() -> None:
    """Whenever the process has grown, until cancelled. Does nothing where the C library is not glibc."""
    trim = _trim_function()
    if trim is None:
        return
    floor = _resident_bytes()
    while True:
        await asyncio.sleep(CHECK_INTERVAL)
        if _resident_bytes() > floor + WORTH_IT:
            await asyncio.to_thread(trim)  # without the GIL
            floor = _resident_bytes()
        else:
            floor = min(floor, _resident_bytes())


def _trim_function() -> Callable[[], int] | None:
    if sys.platform != "linux" or not STATM.exists():
        return None
    try:
        malloc_trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    return lambda: malloc_trim(ctypes.c_size_t(0))


def _resident_bytes() -> int:
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
