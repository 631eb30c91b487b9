"""The loop: look up, render, generate, call tools, again. Every API that talks comes through here: it makes a Wish of its request,
and tells what happens in its own words."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from server.chat.answer import Answer, RunContext
from server.chat.grounding.grounding import GroundedQuestion, PendingSearch, fit_passages, plan_search, search_passages, with_passages
from server.chat.grounding.query_rewrite import search_queries
from server.chat.output_parser import merge
from server.chat.tools.approval_policy import filter_allows
from server.chat.tools.listing import ToolListing, expect_choice, list_tools
from server.chat.tools.runner import ToolBudget
from server.chat.tools.toolset import ToolOffer, Toolset, any_tool_of
from server.chat.turn import Turn, fit_turn, has_tool_results
from server.core.errors import ErrorFields, bad_request, map_engine_errors
from server.core.events import Event, SearchFinished, SearchStarted, ToolListingFinished, ToolListingStarted
from server.core.messages import Message, NamedTools
from server.core.request import ApprovalDecision, Caller, GenerationRequest, McpToolset, ToolLimits
from server.core.timing import TimingObserver
from server.runtime.runtime import Runtime


@dataclass(frozen=True)
class GenerationPlan:
    """All that is decided before anything runs."""

    runtime: Runtime
    request: GenerationRequest
    caller: Caller
    created: int  # Unix time
    first_turn: Turn  # what the model would read without documents and server tools
    messages: Sequence[Message]  # of which the context has room
    search: PendingSearch | None  # None: an answer without documents
    first_turn_seconds: float  # seconds, on the opening

    def run(self, watch: TimingObserver) -> AsyncGenerator[tuple[int, Event]]:
        """What happens, each with the index of the answer that it happens to; what happens before the answers part has 0. Closing
        it aborts generation and tools. Raises ApiError."""
        fields = self.request.field_names
        called = bool(self.request.tools or self.request.mcp_servers)
        events = self._run_answers(self._context(), watch) if self._needs_no_preparation else self._prepare_and_run(watch)
        return map_engine_errors(events, ErrorFields(prompt=fields.messages, grammar=fields.tools if called else fields.response_format))

    @property
    def _needs_no_preparation(self) -> bool:
        return self.search is None and not self.request.mcp_servers and not self.request.approval_decisions

    def _context(self) -> RunContext:
        box = Toolset(client_tools=self.request.tools)
        return RunContext(
            runtime=self.runtime,
            request=self.request,
            caller=self.caller,
            messages=self.messages,
            toolset=box,
            first_turn=self.first_turn,
            first_turn_seconds=self.first_turn_seconds,
        )

    def _run_answers(self, scene: RunContext, watch: TimingObserver) -> AsyncGenerator[tuple[int, Event]]:
        return merge([Answer(scene, i, watch, self._budget(scene)).events() for i in range(self.request.n)])

    def _budget(self, scene: RunContext) -> ToolBudget:
        tainted = self.request.untrusted_context or has_tool_results(self.messages) or bool(scene.grounding and scene.grounding.hits)
        ledger = ToolBudget(tighter_limits(self.request.limits, self.runtime.tool_limits), tainted, calls=len(self.request.earlier_calls))
        for call in self.request.earlier_calls:
            ledger.count(call)
        return ledger

    async def _prepare_and_run(self, watch: TimingObserver) -> AsyncGenerator[tuple[int, Event]]:
        scene = (
            replace(self._context(), first_turn=None) if self.request.mcp_servers or self.request.approval_decisions else self._context()
        )
        if self.search is not None:
            asking = await search_queries(self.runtime, self.search.conversation)
            yield 0, SearchStarted(queries=asking)
            found = await self._search(self.search, asking)
            yield 0, SearchFinished(queries=asking, hits=found.hits)
            scene = self._with_passages(scene, found, chat=self.search.is_small_talk)
        box, offerings = scene.toolset, list[ToolListing]()
        for asked in self.request.mcp_servers:
            if not asked.already_listed:
                yield 0, ToolListingStarted(server_label=asked.server_label)
            offering = await self._list_tools(asked)
            offerings.append(offering)
            box = box.with_server(asked, offering.tools)
            if not asked.already_listed:
                yield 0, ToolListingFinished(server_label=asked.server_label, tools=offering.tools, error=offering.error)
        scene = replace(scene, toolset=box)
        expect_choice(self.request.field_names.tool_choice, self.request.tool_choice, box, offerings)
        async with aclosing(self._run_answers(scene, watch)) as answers:
            async for item in answers:
                yield item

    async def _search(self, lookup: PendingSearch, asking: tuple[str, ...]) -> GroundedQuestion:
        field, context = self.request.field_names.messages, self.runtime.engine.info.context
        grounds = await search_passages(lookup, asking, field)
        return fit_passages(grounds, self.runtime.tokenizer, context, len(self.first_turn.prompt.tokens), self.request.max_tokens, field)

    def _with_passages(self, scene: RunContext, found: GroundedQuestion, *, chat: bool) -> RunContext:
        """Nothing found: the answer is that, unless it is but `chat`, must have a form, or there are tools to call that may know more."""
        if not found.hits and chat:
            return scene
        if found.hits or self.request.response_format is not None:
            return replace(scene, grounding=found, messages=with_passages(self.messages, found), first_turn=None)
        asks = (self.request.tools or self.request.mcp_servers) and self.request.tool_choice != "none"
        return scene if asks else replace(scene, grounding=found)

    async def _list_tools(self, asked: McpToolset) -> ToolListing:
        assert self.runtime.tool_host is not None  # `prepare` has seen to it
        return await list_tools(self.runtime.tool_host, asked)


async def prepare(runtime: Runtime, wish: GenerationRequest, caller: Caller) -> GenerationPlan:
    """Raises ApiError for what cannot be honoured."""
    runtime.expect_model(wish.model)
    _expect_tools(runtime, wish)
    offer = Toolset(client_tools=wish.tools).offer(wish.tool_choice) if not wish.approval_decisions else ToolOffer()
    began = time.perf_counter()
    sayings, opening = await fit_turn(runtime, wish, wish.messages, offer, wish.max_tokens)
    spent = time.perf_counter() - began
    found = await plan_search(runtime, wish, caller.owner)
    return GenerationPlan(runtime, wish, caller, int(time.time()), opening, sayings, found, spent)


def tighter_limits(asked: ToolLimits, most: ToolLimits) -> ToolLimits:
    return ToolLimits(
        max_turns=min(asked.max_turns, most.max_turns),
        max_calls=min(asked.max_calls, most.max_calls),
        max_parallel_calls=min(asked.max_parallel_calls, most.max_parallel_calls),
        max_seconds=min(asked.max_seconds, most.max_seconds),
        max_repeats=min(asked.max_repeats, most.max_repeats),
        max_output_tokens=min(asked.max_output_tokens, most.max_output_tokens),
    )


def _expect_tools(runtime: Runtime, wish: GenerationRequest) -> None:
    """Servers that are there, names that nobody else has, a choice among what there is."""
    fields = wish.field_names
    labels = runtime.tool_host.labels if runtime.tool_host else ()
    for server in wish.mcp_servers:
        if server.server_label not in labels:
            known = f"there is {', '.join(labels)}" if labels else "it has none"
            told = f"{server.field}.server_label: this server has no MCP server {server.server_label!r}; {known}"
            raise bad_request(f"{server.field}.server_label", told, "mcp_server_not_found")
    if wish.mcp_servers and wish.n > 1:
        raise bad_request("n", "n: there can only be one answer where tools run on the server")
    for one in wish.approval_decisions:
        if one.approved and not any(_offers(server, one) for server in wish.mcp_servers):
            told = f"tools: {one.name} of the MCP server {one.server_label!r} has been approved, but is not among the tools: name it again"
            raise bad_request("tools", told)
    _expect_names(wish)
    if isinstance(wish.tool_choice, NamedTools) or wish.tool_choice == "required":
        names = wish.tool_choice.names if isinstance(wish.tool_choice, NamedTools) else ()
        mine = {tool.name for tool in wish.tools}
        open_to = tuple(any_tool_of(server.server_label)[:-1] for server in wish.mcp_servers)
        unknown = [name for name in names if name not in mine and not name.startswith(open_to)]
        if unknown or not (wish.tools or wish.mcp_servers or (wish.file_search and wish.file_search.requested)):
            told = f"there is no tool {unknown[0]!r}" if unknown else "no tool is given that could be required"
            raise bad_request(fields.tool_choice, f"{fields.tool_choice}: {told}")


def _offers(server: McpToolset, call: ApprovalDecision) -> bool:
    return server.server_label == call.server_label and (server.allowed is None or filter_allows(server.allowed, call.name))


def _expect_names(wish: GenerationRequest) -> None:
    seen = set[str]()
    for tool in wish.tools:
        field = tool.field
        if tool.name in seen:
            raise bad_request(field, f"{field}: there are two tools with the name {tool.name!r}")
        if taken := [server.server_label for server in wish.mcp_servers if tool.name.startswith(any_tool_of(server.server_label)[:-1])]:
            raise bad_request(
                field, f"{field}: {tool.name!r} begins as the tools of the MCP server {taken[0]!r} do; call it something else"
            )
        seen.add(tool.name)
