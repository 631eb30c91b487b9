"""The loop: look up, render, generate, call tools, again. Every API that talks comes through here: it makes a Wish of its request,
and tells what happens in its own words."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from server.chat.answer import Answer, Scene
from server.chat.grounding.grounding import Grounds, Lookup, fitted, ground, grounded, lookup
from server.chat.grounding.query_rewrite import queries
from server.chat.output_parser import merged
from server.chat.tools.approval_policy import holds
from server.chat.tools.listing import Offering, expect_choice, offered
from server.chat.tools.runner import Ledger
from server.chat.tools.toolset import Offer, Toolbox, all_of
from server.chat.turn import Turn, fitting, read_results
from server.core.errors import Blame, bad, blamed
from server.core.events import Event, Listed, Listing, Searched, Searching
from server.core.messages import Named, Saying
from server.core.request import Caller, Limits, McpTools, Pending, Wish
from server.core.timing import Watch
from server.runtime.runtime import Served


@dataclass(frozen=True)
class Plan:
    """All that is decided before anything runs."""

    served: Served
    wish: Wish
    caller: Caller
    created: int  # Unix time
    opening: Turn  # what the model would read without documents and server tools
    sayings: Sequence[Saying]  # of which the context has room
    lookup: Lookup | None  # None: an answer without documents
    spent: float  # seconds, on the opening

    def run(self, watch: Watch) -> AsyncGenerator[tuple[int, Event]]:
        """What happens, each with the index of the answer that it happens to; what happens before the answers part has 0. Closing
        it aborts generation and tools. Raises ApiError."""
        fields = self.wish.fields
        called = bool(self.wish.tools or self.wish.servers)
        events = self._answers(self._scene(), watch) if self._plain else self._prepared(watch)
        return blamed(events, Blame(prompt=fields.messages, grammar=fields.tools if called else fields.form))

    @property
    def _plain(self) -> bool:
        return self.lookup is None and not self.wish.servers and not self.wish.pending

    def _scene(self) -> Scene:
        box = Toolbox(client=self.wish.tools)
        return Scene(
            served=self.served,
            wish=self.wish,
            caller=self.caller,
            sayings=self.sayings,
            toolbox=box,
            opening=self.opening,
            spent=self.spent,
        )

    def _answers(self, scene: Scene, watch: Watch) -> AsyncGenerator[tuple[int, Event]]:
        return merged([Answer(scene, i, watch, self._ledger(scene)).events() for i in range(self.wish.count)])

    def _ledger(self, scene: Scene) -> Ledger:
        tainted = self.wish.read or read_results(self.sayings) or bool(scene.grounds and scene.grounds.hits)
        ledger = Ledger(tighter(self.wish.limits, self.served.limits), tainted, calls=len(self.wish.earlier))
        for call in self.wish.earlier:
            ledger.count(call)
        return ledger

    async def _prepared(self, watch: Watch) -> AsyncGenerator[tuple[int, Event]]:
        scene = replace(self._scene(), opening=None) if self.wish.servers or self.wish.pending else self._scene()
        if self.lookup is not None:
            asking = await queries(self.served, self.lookup.talk)
            yield 0, Searching(queries=asking)
            found = await self._found(self.lookup, asking)
            yield 0, Searched(queries=asking, hits=found.hits)
            scene = self._grounded(scene, found, chat=self.lookup.chat)
        box, offerings = scene.toolbox, list[Offering]()
        for asked in self.wish.servers:
            if not asked.listed:
                yield 0, Listing(label=asked.label)
            offering = await self._offered(asked)
            offerings.append(offering)
            box = box.with_server(asked, offering.tools)
            if not asked.listed:
                yield 0, Listed(label=asked.label, tools=offering.tools, error=offering.error)
        scene = replace(scene, toolbox=box)
        expect_choice(self.wish.fields.tool_choice, self.wish.choice, box, offerings)
        async with aclosing(self._answers(scene, watch)) as answers:
            async for item in answers:
                yield item

    async def _found(self, lookup: Lookup, asking: tuple[str, ...]) -> Grounds:
        field, context = self.wish.fields.messages, self.served.engine.info.context
        grounds = await ground(lookup, asking, field)
        return fitted(grounds, self.served.text, context, len(self.opening.prompt.tokens), self.wish.limit, field)

    def _grounded(self, scene: Scene, found: Grounds, *, chat: bool) -> Scene:
        """Nothing found: the answer is that, unless it is but `chat`, must have a form, or there are tools to call that may know more."""
        if not found.hits and chat:
            return scene
        if found.hits or self.wish.form is not None:
            return replace(scene, grounds=found, sayings=grounded(self.sayings, found), opening=None)
        asks = (self.wish.tools or self.wish.servers) and self.wish.choice != "none"
        return scene if asks else replace(scene, grounds=found)

    async def _offered(self, asked: McpTools) -> Offering:
        assert self.served.host is not None  # `prepare` has seen to it
        return await offered(self.served.host, asked)


async def prepare(served: Served, wish: Wish, caller: Caller) -> Plan:
    """Raises ApiError for what cannot be honoured."""
    served.expect(wish.model)
    _expect_tools(served, wish)
    offer = Toolbox(client=wish.tools).offer(wish.choice) if not wish.pending else Offer()
    began = time.perf_counter()
    sayings, opening = await fitting(served, wish, wish.sayings, offer, wish.limit)
    spent = time.perf_counter() - began
    found = await lookup(served, wish, caller.owner)
    return Plan(served, wish, caller, int(time.time()), opening, sayings, found, spent)


def tighter(asked: Limits, most: Limits) -> Limits:
    return Limits(
        turns=min(asked.turns, most.turns),
        calls=min(asked.calls, most.calls),
        parallel=min(asked.parallel, most.parallel),
        seconds=min(asked.seconds, most.seconds),
        same=min(asked.same, most.same),
        output_tokens=min(asked.output_tokens, most.output_tokens),
    )


def _expect_tools(served: Served, wish: Wish) -> None:
    """Servers that are there, names that nobody else has, a choice among what there is."""
    fields = wish.fields
    labels = served.host.labels if served.host else ()
    for server in wish.servers:
        if server.label not in labels:
            known = f"there is {', '.join(labels)}" if labels else "it has none"
            told = f"{server.field}.server_label: this server has no MCP server {server.label!r}; {known}"
            raise bad(f"{server.field}.server_label", told, "mcp_server_not_found")
    if wish.servers and wish.count > 1:
        raise bad("n", "n: there can only be one answer where tools run on the server")
    for one in wish.pending:
        if one.approved and not any(_offers(server, one) for server in wish.servers):
            told = f"tools: {one.name} of the MCP server {one.label!r} has been approved, but is not among the tools: name it again"
            raise bad("tools", told)
    _expect_names(wish)
    if isinstance(wish.choice, Named) or wish.choice == "required":
        names = wish.choice.names if isinstance(wish.choice, Named) else ()
        mine = {tool.name for tool in wish.tools}
        open_to = tuple(all_of(server.label)[:-1] for server in wish.servers)
        unknown = [name for name in names if name not in mine and not name.startswith(open_to)]
        if unknown or not (wish.tools or wish.servers or (wish.search and wish.search.named)):
            told = f"there is no tool {unknown[0]!r}" if unknown else "no tool is given that could be required"
            raise bad(fields.tool_choice, f"{fields.tool_choice}: {told}")


def _offers(server: McpTools, call: Pending) -> bool:
    return server.label == call.label and (server.allowed is None or holds(server.allowed, call.name))


def _expect_names(wish: Wish) -> None:
    seen = set[str]()
    for tool in wish.tools:
        field = tool.field
        if tool.name in seen:
            raise bad(field, f"{field}: there are two tools with the name {tool.name!r}")
        if taken := [server.label for server in wish.servers if tool.name.startswith(all_of(server.label)[:-1])]:
            raise bad(field, f"{field}: {tool.name!r} begins as the tools of the MCP server {taken[0]!r} do; call it something else")
        seen.add(tool.name)
