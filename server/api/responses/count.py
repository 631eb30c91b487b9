"""How much a model would read."""

from server.api.responses.context import look_up
from server.api.responses.ids import new_ids
from server.api.responses.request import to_wish
from server.api.responses.types.request import InputTokensRequest
from server.api.responses.types.response import InputTokens
from server.chat.loop import prepare
from server.chat.tools.listing import offered
from server.chat.tools.toolset import Toolbox
from server.chat.turn import rendered
from server.core.request import Caller
from server.http.context import Call


async def input_tokens(call: Call, body: InputTokensRequest) -> InputTokens:
    """Of the first turn, with the tools of MCP servers, without passages of documents. Raises ApiError."""
    served = call.served
    wish = to_wish(served, body, await look_up(served, body, call.owner, new_ids()))
    plan = await prepare(served, wish, Caller(owner=call.owner))
    if not wish.servers or served.host is None:
        return InputTokens(input_tokens=len(plan.opening.prompt.tokens))
    box = Toolbox(client=wish.tools)
    for server in wish.servers:
        offering = await offered(served.host, server)  # of one that cannot be asked nothing: an answer would do without it, too
        box = box.with_server(server, offering.tools)
    prompt = await rendered(served, wish, plan.sayings, box.offer(wish.choice))
    return InputTokens(input_tokens=len(prompt.tokens))
