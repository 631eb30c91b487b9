"""Looks after the database in the background: what is wrong with it, for /ready and the log."""

import asyncio
import logging
from collections.abc import Callable

from retrieval.api import FAULT_MESSAGES, DatabaseFault

LOG = logging.getLogger("stoa")
CHECK_INTERVAL = 2.0  # seconds
HANGS_AFTER = 10.0  # seconds that a check may take


class DatabaseMonitor:
    """`check`: blocking; raises DatabaseFault."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self.fault: DatabaseFault | None = None  # None: all is well

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._look()
            await asyncio.sleep(CHECK_INTERVAL)

    async def _look(self) -> None:
        checking = asyncio.create_task(asyncio.to_thread(self._find_fault))
        try:
            done, _ = await asyncio.wait((checking,), timeout=HANGS_AFTER)
            if not done:
                self._note(DatabaseFault("unreachable", f"it has not answered for {HANGS_AFTER:.0f} seconds"))
            self._note(await asyncio.shield(checking))
        except asyncio.CancelledError:
            await asyncio.wait((checking,), timeout=HANGS_AFTER)  # the database is closed after this
            raise

    def _find_fault(self) -> DatabaseFault | None:
        try:
            self._check()
        except DatabaseFault as fault:
            return fault
        except Exception as error:  # a bug, or a table is missing
            return DatabaseFault("damaged", f"{type(error).__name__}: {error}")
        return None

    def _note(self, fault: DatabaseFault | None) -> None:
        before, self.fault = self.fault, fault
        if fault is None and before is not None:
            LOG.info("the database answers again")
        elif fault is not None and (before is None or before.kind != fault.kind):
            LOG.error("%s (%s)", FAULT_MESSAGES[fault.kind], fault.detail)
