"""vLLM's asynchronous engine as an engine of this server: its core and its workers are processes, this side of them lives in the event
loop of the server."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import count
from typing import cast

from vllm.exceptions import VLLMClientError
from vllm.outputs import RequestOutput
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

from engine.api import IDLE_PRIORITY, Delta, EngineError, EngineStopped, ModelInfo, Request, Stats, Unsupported, Usage
from engine.checks import expect_possible
from engine.vllm.client.answer import Answer, Place
from engine.vllm.client.board import Board
from engine.vllm.client.figures import Figures
from engine.vllm.client.grammars import Grammars
from engine.vllm.client.places import IDLE_PLACES, Places
from engine.vllm.client.reaper import Reaper
from engine.vllm.client.sampling import to_prompt

SHUTDOWN = 10.0  # seconds for vLLM's processes to end by themselves


class VllmEngine:
    """Implements engine.api.Engine, in one event loop. `close` ends vLLM's processes."""

    def __init__(self, llm: AsyncLLM, info: ModelInfo, grammars: Grammars, figures: Figures, reaper: Reaper, most: int) -> None:
        """`most`: requests that may be running or waiting."""
        self.info = info
        self._llm, self._grammars, self._figures, self._reaper = llm, grammars, figures, reaper
        self._cache = llm.vllm_config.cache_config
        self._places, self._board = Places(most), Board.create(most + IDLE_PLACES)
        self._keys, self._requests = count(), count()
        self._done = Usage(prompt=0, completion=0, cached=0)  # of all answers that have ended
        self._aborts = 0
        self._open = True

    @property
    def alive(self) -> bool:
        return self._open and not self._llm.errored

    @property
    def fault(self) -> None:
        """What goes wrong here does not mend itself."""

    async def generate(self, request: Request) -> AsyncGenerator[Delta]:
        """Also ends with finish="length" when the grammar fails half way, and with "abort" when the model's numbers are not finite in an
        answer whose tokens are chosen by this project (steering.py)."""
        self._expect_alive()
        expect_possible(request, self.info)
        if request.sampling.beams is not None:
            raise Unsupported("beams: vLLM gives no beams: take the embedded engine")
        if request.sampling.scored:
            raise Unsupported("scored: vLLM tells the logprobs of the likeliest tokens: take the embedded engine")
        if request.grammar is not None:
            await self._grammars.expect_usable(request, request.grammar)
        with self._places.taken(request) as number:
            answer = Answer(request, self.info.context, Place(self._board, number), self._keys)
            try:
                async with aclosing(self._deltas(request, answer)) as deltas:
                    async for delta in deltas:
                        yield delta
            except EngineDeadError as error:
                raise EngineStopped("the engine has failed" if self._open else "the engine is shutting down") from error
            except EngineGenerateError as error:
                raise EngineError(f"vLLM has failed: {error.__cause__ or error}") from error
            except VLLMClientError as error:
                raise Unsupported(f"vLLM: {error}") from error
            finally:
                self._count(answer)

    def stats(self) -> Stats:
        """vLLM does not tell which of its free pages still answer prefix hits."""
        here, total = self._places.count, self._cache.num_gpu_blocks or 0
        waiting = min(here, sum(self._figures.waiting.values()))
        usage = list(self._figures.usage.values()) or [0.0]
        used = round(total * sum(usage) / len(usage)) if here else 0
        done = self._done
        return Stats(
            waiting=waiting,
            running=here - waiting,
            pages_free=total - used,
            pages_used=used,
            pages_total=total,
            pages_bytes=self._cache.kv_cache_memory_bytes or 0,
            prompt_tokens=done.prompt,
            cached_tokens=done.cached,
            generated_tokens=done.completion,
            preemptions=self._figures.preemptions,
            aborts=self._aborts,
        )

    async def close(self) -> None:
        """Whoever still waits for tokens gets EngineStopped."""
        if not self._open:
            return
        self._open = False
        self._grammars.close()
        self._llm.output_processor.propagate_error(EngineDeadError())
        await asyncio.to_thread(self._llm.shutdown, SHUTDOWN)
        del self._llm  # which would shut it down once more when Python ends, and can do so no more then
        self._reaper.dismiss()
        self._board.delete()

    def _expect_alive(self) -> None:
        if not self.alive:
            raise EngineStopped("the engine has failed" if self._open else "the engine is shutting down")

    async def _deltas(self, request: Request, answer: Answer) -> AsyncGenerator[Delta]:
        idle = request.priority >= IDLE_PRIORITY
        while answer.finish is None:
            if idle:
                await self._places.wait_until_quiet()
            async with aclosing(self._outputs(request, answer)) as outputs:  # leaving it is the abort
                async for output in outputs:
                    yield answer.push(output)
                    unwanted = answer.finish is not None or answer.parted or (idle and not self._places.quiet)
                    if unwanted and not output.finished:
                        break

    def _outputs(self, request: Request, answer: Answer) -> AsyncGenerator[RequestOutput]:
        tokens, params = answer.ask()
        name = f"stoa-{next(self._requests)}"
        return cast(
            AsyncGenerator[RequestOutput],
            self._llm.generate(to_prompt(tokens, request), params, name, priority=request.priority),
        )

    def _count(self, answer: Answer) -> None:
        usage, done = answer.usage, self._done
        self._aborts += answer.finish in (None, "abort")
        self._done = Usage(
            prompt=done.prompt + usage.prompt, completion=done.completion + usage.completion, cached=done.cached + usage.cached
        )
