"""The response of a legacy completion, as a whole and as a stream."""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from server.api.common.logprobs import prompt_logprobs
from server.api.common.timings import TimingCounter
from server.api.common.usage import UsageCounter
from server.api.completions import types as wire
from server.api.completions.best_of import best_answers
from server.api.completions.logprobs import completion_logprobs, echoed_logprobs, joined_logprobs
from server.api.completions.plan import CompletionPlan
from server.core.events import OutputDelta
from server.core.timing import TimingObserver
from server.http.sse import DONE
from server.http.warnings import to_warning_objects


@dataclass
class ResponseBuilder:
    """Turns the outputs of a plan's sequences into choices."""

    plan: CompletionPlan
    usage: UsageCounter
    timing: TimingCounter = field(default_factory=TimingCounter)

    def push(self, index: int, output: OutputDelta) -> None:
        self.timing.push()
        if output.usage is not None:
            self.usage.begin(index, output.usage)
        self.usage.add_tokens(len(output.tokens))

    def choice(self, index: int, output: OutputDelta, number: int, *, first: bool) -> wire.Choice:
        """Of the sequence `index`, as choice `number`. `first`: the output is the beginning; it has the echo."""
        plan, body = self.plan, self.plan.body
        request = plan.requests[index]
        prompt = request.encoder if isinstance(request.encoder, tuple) and request.encoder else request.tokens
        echo = plan.echoes[index] if first else ""
        logprobs = None
        if body.logprobs is not None:
            as_ids, tokenizer = body.return_tokens_as_token_ids is True, plan.runtime.tokenizer
            logprobs = completion_logprobs(tokenizer, output.logprobs, len(plan.echoes[index]), as_ids=as_ids)
            if first and body.echo:
                logprobs = joined_logprobs(echoed_logprobs(tokenizer, prompt, echo, output.prompt_logprobs, as_ids=as_ids), logprobs)
        scored = first and body.prompt_logprobs is not None
        return wire.Choice(
            index=number,
            text=echo + output.text,
            logprobs=logprobs,
            finish_reason=output.finish or "stop",
            prompt_logprobs=prompt_logprobs(plan.runtime.tokenizer, output.prompt_logprobs) if scored else None,
            prompt_token_ids=list(prompt) if first and body.return_token_ids else None,
            token_ids=output.tokens if body.return_token_ids else None,
        )

    def response(self, outputs: Sequence[OutputDelta]) -> wire.CompletionResponse:
        plan, usage = self.plan, self.usage.usage()
        chosen = [index for prompt in range(len(outputs) // plan.sequences_per_prompt) for index in self._best(prompt, outputs)]
        return wire.CompletionResponse(
            id=plan.id,
            created=plan.created,
            model=plan.runtime.names[0],
            system_fingerprint=plan.runtime.fingerprint,
            choices=[self.choice(index, outputs[index], number, first=True) for number, index in enumerate(chosen)],
            usage=usage,
            warnings=to_warning_objects(plan.warnings),
            timings=self.timing.timings(usage) if plan.body.timings_per_token else None,
        )

    def _best(self, prompt: int, outputs: Sequence[OutputDelta]) -> list[int]:
        """The sequences of a prompt that are sent: all, or the n whose tokens are likeliest on average."""
        each, n = self.plan.sequences_per_prompt, self.plan.body.n or 1
        indexes = list(range(prompt * each, (prompt + 1) * each))
        if each == n:
            return indexes
        best = best_answers([[entry.token for entry in outputs[index].logprobs] for index in indexes], n)
        return [indexes[i] for i in best]


def new_builder(plan: CompletionPlan) -> ResponseBuilder:
    return ResponseBuilder(plan, UsageCounter(sequences_per_prompt=plan.sequences_per_prompt))


async def generate(plan: CompletionPlan, observer: TimingObserver) -> wire.CompletionResponse:
    builder, outputs = new_builder(plan), [OutputDelta() for _ in plan.requests]
    async with aclosing(plan.run(observer)) as deltas:
        async for index, delta in deltas:
            builder.push(index, delta)
            _extend(outputs[index], delta)
    return builder.response(outputs)


async def stream_chunks(plan: CompletionPlan, observer: TimingObserver) -> AsyncGenerator[bytes]:
    """Chunks are put together by hand: this runs once per token of every stream."""
    head = f'data: {{"id":"{plan.id}","object":"text_completion","created":{plan.created},"model":{json.dumps(plan.runtime.names[0])}'
    head += f',"system_fingerprint":{json.dumps(plan.runtime.fingerprint)}'
    warnings = to_warning_objects(plan.warnings)
    first_tail = f',"warnings":[{",".join(w.model_dump_json() for w in warnings)}]' if warnings else ""
    builder, started = new_builder(plan), set[int]()
    async with aclosing(plan.run(observer)) as deltas:
        async for index, delta in deltas:
            builder.push(index, delta)
            first = index not in started
            started.add(index)
            choice = _chunk_choice(builder, index, delta, first=first)
            yield f'{head},"choices":[{choice}]{_tail(builder)}{first_tail}}}\n\n'.encode()
            first_tail = ""
    if plan.stream_usage:
        yield f'{head},"choices":[],"usage":{builder.usage.usage().model_dump_json()}}}\n\n'.encode()
    yield DONE


def _chunk_choice(builder: ResponseBuilder, index: int, delta: OutputDelta, *, first: bool) -> str:
    body = builder.plan.body
    if body.logprobs is None and body.prompt_logprobs is None and not body.return_token_ids:
        text = json.dumps((builder.plan.echoes[index] if first else "") + delta.text)
        return f'{{"index":{index},"text":{text},"logprobs":null,"finish_reason":{json.dumps(delta.finish)}}}'
    choice = builder.choice(index, delta, index, first=first).model_dump()
    return json.dumps({**choice, "finish_reason": delta.finish})


def _tail(builder: ResponseBuilder) -> str:
    """What follows the choices of a chunk."""
    body = builder.plan.body
    continuous = body.stream_options is not None and body.stream_options.continuous_usage_stats
    tail = f',"usage":{builder.usage.usage().model_dump_json()}' if continuous else ',"usage":null' if builder.plan.stream_usage else ""
    if body.timings_per_token:
        tail += f',"timings":{builder.timing.timings(builder.usage.usage()).model_dump_json()}'
    return tail


def _extend(output: OutputDelta, delta: OutputDelta) -> None:
    output.text += delta.text
    output.logprobs += delta.logprobs
    output.prompt_logprobs += delta.prompt_logprobs
    output.tokens += delta.tokens
    output.finish = delta.finish
