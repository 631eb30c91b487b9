"""How much a model would read."""

from server.api.responses.context import look_up
from server.api.responses.ids import new_ids
from server.api.responses.request import to_wish
from server.api.responses.types.request import InputTokensRequest
from server.api.responses.types.response import InputTokens
from server.chat.loop import prepare
from server.chat.tools.listing import list_tools
from server.chat.tools.toolset import Toolset
from server.chat.turn import render_prompt
from server.core.request import Caller
from server.http.context import RequestContext


async def input_tokens(call: RequestContext, body: InputTokensRequest) -> InputTokens:
    """Of the first turn, with the tools of MCP servers, without passages of documents. Raises ApiError."""
    runtime = call.runtime
    wish = to_wish(runtime, body, await look_up(runtime, body, call.owner, new_ids()))
    plan = await prepare(runtime, wish, Caller(owner=call.owner))
    if not wish.mcp_servers or runtime.tool_host is None:
        return InputTokens(input_tokens=len(plan.first_turn.prompt.tokens))
    box = Toolset(client_tools=wish.tools)
    for server in wish.mcp_servers:
        offering = await list_tools(runtime.tool_host, server)  # of one that cannot be asked nothing: an answer would do without it, too
        box = box.with_server(server, offering.tools)
    prompt = await render_prompt(runtime, wish, plan.messages, box.offer(wish.tool_choice))
    return InputTokens(input_tokens=len(prompt.tokens))
