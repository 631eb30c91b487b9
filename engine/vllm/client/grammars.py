"""Grammars are tried here, before vLLM hears of a request: what cannot be used is refused, and slow ones hold up nobody else."""

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from weakref import WeakValueDictionary

from engine.api import Grammar, Request
from engine.embedded.sampling.grammar import GrammarCompiler

CORES_PER_COMPILER = 4  # the others are for the model


class Grammars:
    def __init__(self, compiler: GrammarCompiler) -> None:
        self._compiler = compiler
        self._threads = ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // CORES_PER_COMPILER), thread_name_prefix="grammar")
        self._threads.submit(compiler.prepare)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # each owner has one compiler at a time

    async def expect_usable(self, request: Request, grammar: Grammar) -> None:
        """Raises InvalidGrammar."""
        async with self._turns.setdefault(request.owner, asyncio.Lock()):
            await asyncio.get_running_loop().run_in_executor(self._threads, partial(self._compile, request, grammar))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _compile(self, request: Request, grammar: Grammar) -> None:
        began = time.thread_time()
        try:
            self._compiler.compile(grammar, request.owner)
        finally:
            if request.charge is not None:  # perhaps nobody waits for it any more
                request.charge(time.thread_time() - began)
