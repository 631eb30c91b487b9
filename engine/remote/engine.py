"""The engine of a server that has none of its own: other servers, over the completions of their OpenAI-compatible API."""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import httpx

from engine.api import (
    Delta,
    EngineError,
    EngineStopped,
    EngineUnavailable,
    Lark,
    ModelInfo,
    PromptTooLong,
    Request,
    Stats,
    Unsupported,
    Usage,
)
from engine.remote.failures import Failed, explained, of_status, of_transport
from engine.remote.upstream import Pool, Upstream
from engine.remote.watch import Watch
from engine.remote.wire import AnswerReader, Garbled, Json, to_body

DATA, DONE = "data:", "[DONE]"


class RemoteEngine:
    """Implements engine.api.Engine. `close` also ends `watches` and closes `client`."""

    def __init__(self, info: ModelInfo, model: str, client: httpx.AsyncClient, watches: Sequence[Watch]) -> None:
        """`model`: what the upstreams call it. `watches`: of the upstreams, each of one."""
        self.info, self.alive = info, True
        self._model, self._client, self._watches = model, client, {watch.upstream: watch for watch in watches}
        self._pool = Pool([watch.upstream for watch in watches])
        self._done = Usage(prompt=0, completion=0, cached=0)  # of all answers that have ended
        self._aborts = 0

    @property
    def fault(self) -> str | None:
        return self._pool.fault

    async def generate(self, request: Request) -> AsyncGenerator[Delta]:
        """An upstream that fails before its first token is left for another; each is tried once. Raises EngineUnavailable where one
        fails later or none answers, QueueFull where one that answers has no room, Unsupported for what upstreams do not take."""
        self._check(request)
        tried, failures = list[Upstream](), list[EngineError]()
        while (upstream := self._pool.choose(request, tried)) is not None:
            tried.append(upstream)
            began = False
            try:
                async with aclosing(self._answer(upstream, request)) as deltas:
                    async for delta in deltas:
                        began = True
                        yield delta
                return
            except Failed as failure:
                self._expect_alive()
                if failure.gone:
                    self._watches[upstream].lost(str(failure))
                if began:
                    raise EngineUnavailable(f"{upstream.name} {failure}, in the middle of an answer") from failure
                failures.append(failure.told(upstream.name))
        raise _worst(failures) or EngineUnavailable(f"no upstream answers: {self.fault}")

    def stats(self) -> Stats:
        """What waits in an upstream's queue counts as running."""
        running, done = sum(upstream.running for upstream in self._pool.upstreams), self._done
        return Stats(
            running=running, prompt_tokens=done.prompt, cached_tokens=done.cached, generated_tokens=done.completion, aborts=self._aborts
        )

    async def close(self) -> None:
        self.alive = False
        for watch in self._watches.values():
            watch.close()
        await self._client.aclose()

    def _check(self, request: Request) -> None:
        self._expect_alive()
        length = len(request.tokens)
        if not length:
            raise EngineError("the prompt has no tokens")
        if length + min(1, request.sampling.max_tokens) > self.info.context:
            raise PromptTooLong(f"the prompt has {length} tokens; with at least one for the answer, {self.info.context} fit")

    def _expect_alive(self) -> None:
        if not self.alive:
            raise EngineStopped("the engine is shutting down")

    async def _answer(self, upstream: Upstream, request: Request) -> AsyncGenerator[Delta]:
        """Raises Failed, and EngineError for what another upstream would refuse as well."""
        if isinstance(request.grammar, Lark) and not upstream.lark:
            raise Unsupported(f"{upstream.name} takes no grammars in the syntax of llguidance, which calls of tools need")
        body = to_body(request, self._model, priorities=upstream.priorities, salts=upstream.salts)
        reader, ended = AnswerReader(request), False
        try:
            with upstream.counted():
                async with aclosing(self._chunks(upstream, request, body)) as chunks:
                    async for chunk in chunks:
                        if (delta := reader.push(chunk)) is not None:
                            yield delta
                last = reader.end()
                ended = True
                yield last
        except Garbled as error:
            raise Failed(str(error)) from error
        except httpx.HTTPError as error:
            raise of_transport(error) from error
        finally:
            self._count(reader.usage, aborted=not ended)

    async def _chunks(self, upstream: Upstream, request: Request, body: Json) -> AsyncGenerator[Json]:
        """Leaving it closes the connection, which is the abort."""
        async with self._client.stream("POST", f"{upstream.url}/v1/completions", json=body, headers=[*request.trace]) as response:
            if response.status_code != 200:
                raise of_status(response.status_code, await response.aread(), request, upstream.name)
            if not body["stream"]:
                yield _parsed(await response.aread())
                return
            async for line in response.aiter_lines():
                if line.startswith(DATA):
                    if (data := line[len(DATA) :].strip()) == DONE:
                        return
                    yield _parsed(data)
                elif line and not line.startswith((":", "event:", "id:", "retry:")):
                    raise Garbled("sends something that is no stream of events")
            raise Garbled("has ended an answer in the middle")

    def _count(self, usage: Usage, *, aborted: bool) -> None:
        done, self._aborts = self._done, self._aborts + aborted
        self._done = Usage(
            prompt=done.prompt + usage.prompt, completion=done.completion + usage.completion, cached=done.cached + usage.cached
        )


def _parsed(data: str | bytes) -> Json:
    """Raises Garbled, and Failed for an error that comes as an event."""
    try:
        chunk: Any = json.loads(data)
    except ValueError as error:
        raise Garbled("sends something that is no JSON") from error
    if not isinstance(chunk, dict):
        raise Garbled("sends something that is no completion")
    if "error" in chunk:
        raise Failed(f"has failed: {explained(chunk)[0]}")
    return chunk


def _worst(failures: Sequence[EngineError]) -> EngineError | None:
    """What is told of several: that there is no room, where that is so."""
    return next((one for one in failures if not isinstance(one, EngineUnavailable)), failures[-1] if failures else None)
