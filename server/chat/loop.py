"""The chat loop: search the documents, render, generate, call tools, repeat. Every API that generates with a conversation comes
through here: it makes a GenerationRequest and maps the events back."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from server.chat.answer import Answer, RunContext
from server.chat.decoding import expect_text_reader
from server.chat.encoder_decoder import as_read
from server.chat.grounding.grounding import GroundedQuestion, PendingSearch, fit_passages, plan_search, search_passages, with_passages
from server.chat.grounding.query_rewrite import search_queries
from server.chat.streams import merge
from server.chat.thinking import thought_warnings
from server.chat.tools.approval_policy import filter_allows
from server.chat.tools.budget import ToolBudget
from server.chat.tools.listing import ToolListing, expect_choice, list_tools
from server.chat.tools.toolset import ToolOffer, Toolset, any_tool_of
from server.chat.truncation import fit_turn
from server.chat.turn import Turn, has_tool_results
from server.core.errors import ErrorFields, bad_request, map_engine_errors
from server.core.events import Event, SearchFinished, SearchStarted, ToolListingFinished, ToolListingStarted
from server.core.messages import Message, NamedTools
from server.core.request import ApprovalDecision, Caller, GenerationRequest, McpToolset
from server.core.timing import TimingObserver
from server.core.tool_limits import ToolLimits
from server.runtime.runtime import Runtime
from server.runtime.seeing import with_seen_images


@dataclass(frozen=True)
class GenerationPlan:
    """A checked request, ready to run."""

    runtime: Runtime
    request: GenerationRequest
    caller: Caller
    created: int  # Unix time
    first_turn: Turn  # as it is without documents and server tools
    messages: Sequence[Message]  # as many as fit the context
    search: PendingSearch | None  # None: no documents are searched
    first_turn_seconds: float  # spent on building it

    def run(self, observer: TimingObserver) -> AsyncGenerator[tuple[int, Event]]:
        """The events, each with the index of its answer; those before the answers begin have 0. Closing the generator aborts
        generation and tools. Raises ApiError."""
        fields = self.request.field_names
        has_tools = bool(self.request.tools or self.request.mcp_servers)
        events = self._run_answers(self._context(), observer) if self._needs_no_preparation else self._prepare_and_run(observer)
        told = ErrorFields(prompt=fields.messages, grammar=fields.tools if has_tools else fields.response_format)
        events, tracer = map_engine_errors(events, told), self.runtime.tracer
        return events if tracer is None else tracer.loop(self.request, self.runtime.names[0], events)

    @property
    def _needs_no_preparation(self) -> bool:
        return self.search is None and not self.request.mcp_servers and not self.request.approval_decisions

    def _context(self) -> RunContext:
        return RunContext(
            runtime=self.runtime,
            request=self.request,
            caller=self.caller,
            messages=self.messages,
            toolset=Toolset(client_tools=self.request.tools),
            first_turn=self.first_turn,
            first_turn_seconds=self.first_turn_seconds,
        )

    def _run_answers(self, context: RunContext, observer: TimingObserver) -> AsyncGenerator[tuple[int, Event]]:
        return merge([Answer(context, i, observer, self._budget(context)).events() for i in range(self.request.n)])

    def _budget(self, context: RunContext) -> ToolBudget:
        untrusted = self.request.untrusted_context or has_tool_results(self.messages) or bool(context.grounding and context.grounding.hits)
        allowed, requested = self.runtime.tool_limits, self.request.limits
        limits = allowed if requested is None else tighter_limits(requested, allowed)
        budget = ToolBudget(limits, untrusted, calls=len(self.request.earlier_calls))
        for call in self.request.earlier_calls:
            budget.count(call)
        return budget

    async def _prepare_and_run(self, observer: TimingObserver) -> AsyncGenerator[tuple[int, Event]]:
        context = self._context()
        if self.request.mcp_servers or self.request.approval_decisions:
            context = replace(context, first_turn=None)
        if self.search is not None:
            queries = await search_queries(self.runtime, self.search.conversation)
            yield 0, SearchStarted(queries=queries)
            found = await self._search(self.search, queries)
            yield 0, SearchFinished(queries=queries, hits=found.hits)
            context = self._with_passages(context, found, small_talk=self.search.is_small_talk)
        toolset, listings = context.toolset, list[ToolListing]()
        for server in self.request.mcp_servers:
            if not server.already_listed:
                yield 0, ToolListingStarted(server_label=server.server_label)
            listing = await self._list_tools(server)
            listings.append(listing)
            toolset = toolset.with_server(server, listing.tools)
            if not server.already_listed:
                yield 0, ToolListingFinished(server_label=server.server_label, tools=listing.tools, error=listing.error)
        context = replace(context, toolset=toolset)
        expect_choice(self.request.field_names.tool_choice, self.request.tool_choice, toolset, listings)
        async with aclosing(self._run_answers(context, observer)) as answers:
            async for item in answers:
                yield item

    async def _search(self, search: PendingSearch, queries: tuple[str, ...]) -> GroundedQuestion:
        field, prompt_tokens = self.request.field_names.messages, self.first_turn.prompt.length
        grounding = await search_passages(search, queries, field)
        return fit_passages(
            grounding, self.runtime.tokenizer, self.runtime.engine.info.context, prompt_tokens, self.request.max_tokens, field
        )

    def _with_passages(self, context: RunContext, found: GroundedQuestion, *, small_talk: bool) -> RunContext:
        """If nothing was found, the answer says so, unless it is small talk, has a response format, or tools may know more."""
        if not found.hits and small_talk:
            return context
        if found.hits or self.request.response_format is not None:
            return replace(context, grounding=found, messages=with_passages(self.messages, found), first_turn=None)
        has_tools = (self.request.tools or self.request.mcp_servers) and self.request.tool_choice != "none"
        return context if has_tools else replace(context, grounding=found)

    async def _list_tools(self, server: McpToolset) -> ToolListing:
        assert self.runtime.tool_host is not None  # checked by `prepare`
        return await list_tools(self.runtime.tool_host, server)


async def prepare(runtime: Runtime, request: GenerationRequest, caller: Caller) -> GenerationPlan:
    """Checks the request and builds the first turn. Raises ApiError for what cannot be honoured."""
    runtime.expect_model(request.model)
    if request.max_tokens is None:
        request = replace(request, max_tokens=runtime.answer_limit)
    request = replace(request, warnings=(*request.warnings, *thought_warnings(request, runtime.tokenizer)))
    expect_text_reader(runtime)
    if runtime.tokenizer.encoder_decoder is not None:
        request = as_read(request, runtime.tokenizer, runtime.tokenizer.encoder_decoder)
    _expect_tools(runtime, request)
    offer = Toolset(client_tools=request.tools).offer(request.tool_choice) if not request.approval_decisions else ToolOffer()
    request = replace(request, messages=await with_seen_images(runtime, request.messages))
    began = time.perf_counter()
    messages, first_turn = await fit_turn(runtime, request, request.messages, offer, request.max_tokens)
    seconds = time.perf_counter() - began
    search = await plan_search(runtime, request, caller.owner)
    return GenerationPlan(runtime, request, caller, int(time.time()), first_turn, messages, search, seconds)


def tighter_limits(requested: ToolLimits, allowed: ToolLimits) -> ToolLimits:
    """The lower of each."""
    return ToolLimits(
        max_turns=min(requested.max_turns, allowed.max_turns),
        max_calls=min(requested.max_calls, allowed.max_calls),
        max_parallel_calls=min(requested.max_parallel_calls, allowed.max_parallel_calls),
        max_seconds=min(requested.max_seconds, allowed.max_seconds),
        max_repeats=min(requested.max_repeats, allowed.max_repeats),
        max_output_tokens=min(requested.max_output_tokens, allowed.max_output_tokens),
    )


def _expect_tools(runtime: Runtime, request: GenerationRequest) -> None:
    """Servers must exist, names be unique, tool_choice name a tool that is offered."""
    fields = request.field_names
    labels = runtime.tool_host.labels if runtime.tool_host else ()
    for server in request.mcp_servers:
        if server.server_label not in labels:
            known = f"there is {', '.join(labels)}" if labels else "it has none"
            told = f"{server.field}.server_label: this server has no MCP server {server.server_label!r}; {known}"
            raise bad_request(f"{server.field}.server_label", told, "mcp_server_not_found")
    if request.mcp_servers and request.n > 1:
        raise bad_request("n", "n: there can only be one answer where tools run on the server")
    for one in request.approval_decisions:
        if one.approved and not any(_offers(server, one) for server in request.mcp_servers):
            told = f"tools: {one.name} of the MCP server {one.server_label!r} has been approved, but is not among the tools: name it again"
            raise bad_request("tools", told)
    _expect_names(request)
    if isinstance(request.tool_choice, NamedTools) or request.tool_choice == "required":
        names = request.tool_choice.names if isinstance(request.tool_choice, NamedTools) else ()
        mine = {tool.name for tool in request.tools}
        open_to = tuple(any_tool_of(server.server_label)[:-1] for server in request.mcp_servers)
        unknown = [name for name in names if name not in mine and not name.startswith(open_to)]
        if unknown or not (request.tools or request.mcp_servers or (request.file_search and request.file_search.requested)):
            told = f"there is no tool {unknown[0]!r}" if unknown else "no tool is given that could be required"
            raise bad_request(fields.tool_choice, f"{fields.tool_choice}: {told}")


def _offers(server: McpToolset, call: ApprovalDecision) -> bool:
    return server.server_label == call.server_label and (server.allowed is None or filter_allows(server.allowed, call.name))


def _expect_names(request: GenerationRequest) -> None:
    seen = set[str]()
    for tool in request.tools:
        field = tool.field
        if tool.name in seen:
            raise bad_request(field, f"{field}: there are two tools with the name {tool.name!r}")
        if taken := [server.server_label for server in request.mcp_servers if tool.name.startswith(any_tool_of(server.server_label)[:-1])]:
            raise bad_request(
                field, f"{field}: {tool.name!r} begins as the tools of the MCP server {taken[0]!r} do; call it something else"
            )
        seen.add(tool.name)
