"""How much a model would read."""

from server.call import Call
from server.loop import prepare
from server.offering import offered
from server.openai.responses.request import InputTokensRequest
from server.openai.responses.response import InputTokens
from server.responses.context import look_up
from server.responses.ids import new_ids
from server.responses.wish import to_wish
from server.toolbox import Toolbox
from server.turn import rendered
from server.wish import Caller


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
