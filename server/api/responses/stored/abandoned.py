"""What becomes of background responses whose process has died: the next process that sees them marks them as failed."""

import asyncio
import logging

from server.api.responses.response import response_error
from server.archive.api import Archive
from server.core.errors import ApiError
from server.core.threads import in_thread, wait_through
from server.runtime.runtime import Runtime

LOG = logging.getLogger("stoa")
LOOK_SECONDS = 1.0
PROCESS_DIED = ApiError(500, "the server that worked on this response has died", code="process_died")


async def fail_abandoned(archive: Archive, worker: str) -> None:
    """`worker`: this process's name in leases. Raises ApiError."""
    for response in await in_thread(archive.claim_abandoned, worker):
        body = {**response.body, "status": "failed", "error": response_error(PROCESS_DIED)}
        if await in_thread(archive.finish_response, response.owner, response.id, "failed", body):
            LOG.warning("%s has failed, as its process has died", response.id)


async def watch_abandoned(worker: str, runtime: Runtime) -> None:
    """Until cancelled: they fail also where nobody asks for them."""
    if (archive := runtime.archive) is None:
        return
    while True:
        looking = asyncio.ensure_future(fail_abandoned(archive, worker))
        try:
            await wait_through(looking)  # the database is closed after this
            looking.result()
        except ApiError as error:
            LOG.debug("nobody looked for responses of dead processes: %s", error.message)  # its monitor tells that the database is away
        except Exception:
            LOG.exception("responses of dead processes could not be looked for")
        await asyncio.sleep(LOOK_SECONDS)
