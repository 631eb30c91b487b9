"""Log probabilities of a prompt, which only the first of its sequences computes: the others get them, too."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from engine.api import TokenLogprob
from server.core.events import OutputDelta

Indexed = tuple[int, OutputDelta]


async def with_shared_prompt_logprobs(outputs: AsyncGenerator[Indexed], each: int) -> AsyncGenerator[Indexed]:
    """The same outputs; `each`: sequences of a prompt, which are adjacent. The first output of a sequence has them: it waits until the
    first sequence of its prompt has some."""
    known, begun, waiting = dict[int, tuple[TokenLogprob, ...]](), set[int](), list[Indexed]()
    async with aclosing(outputs):
        async for item in outputs:
            waiting.append(item)
            first, output = item
            if first % each == 0:
                known.setdefault(first, output.prompt_logprobs)
            ready = [(index, one) for index, one in waiting if index - index % each in known]
            waiting = [(index, one) for index, one in waiting if index - index % each not in known]
            for index, one in ready:
                if index not in begun:
                    one.prompt_logprobs = known[index - index % each]
                begun.add(index)
                yield index, one
