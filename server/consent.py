"""An approval lets one call run once. Which have been given is written down before anything runs: a client that sends its request
again, or sends it twice at once, also to another process, does not repeat what the call has done."""

from collections.abc import Sequence

from server.call import threaded
from server.errors import bad
from server.served import Served
from server.wish import Pending


async def settle(served: Served, pending: Sequence[Pending], owner: str) -> None:
    """They are used up, whatever becomes of them; where one has been before, none of the others is. Raises ApiError."""
    if not pending:
        return
    if served.archive is None:
        raise bad(
            pending[0].field, f"{pending[0].field}: this server has no database, and cannot know whether this has been answered before"
        )
    used = await threaded(served.archive.decide, owner, [one.request_id for one in pending])
    for one in pending:
        if one.request_id in used:  # no 409: clients would try again
            told = f"{one.field}: {one.request_id!r} has been answered already; ask anew, and answer the new request"
            raise bad(one.field, told, "approval_used")
