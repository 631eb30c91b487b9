"""Removes from the database what has expired."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from retrieval.api import DatabaseFault

LOG = logging.getLogger("stoa")
SWEEP_INTERVAL = 600.0  # seconds


async def remove_expired(sweeps: Sequence[Callable[[], None]]) -> None:
    """Runs each of `sweeps` (blocking) every SWEEP_INTERVAL until cancelled."""
    while True:
        for sweep in sweeps:
            try:
                await asyncio.to_thread(sweep)
            except DatabaseFault as fault:
                LOG.warning("what has expired could not be removed: %s", fault)
            except Exception:  # of any database; tried again next time
                LOG.exception("what has expired could not be removed")
        await asyncio.sleep(SWEEP_INTERVAL)
