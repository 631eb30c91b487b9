"""The engine over other servers, against upstreams that behave as upstreams do."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import ExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest

from engine.api import (
    Choice,
    Delta,
    EngineError,
    EngineStopped,
    EngineUnavailable,
    InvalidGrammar,
    JsonObject,
    JsonSchema,
    Lark,
    PromptTooLong,
    QueueFull,
    Regex,
    Request,
    Sampling,
    ThoughtBudget,
    TokenLogprob,
    Unsupported,
    Usage,
)
from engine.remote.connect import RemoteOptions, connect
from engine.remote.engine import RemoteEngine
from engine.remote.upstream import SLACK, Pool, Upstream
from engine.remote.watch import Misfit
from tests.server.web import serving

Json = dict[str, Any]
SAMPLE = ("ab", (1, 2))
TOKENS = (7, 8, 2)  # what every fake says; 2 ends it
TRIALS = 2  # completions at start
SECRET = "Bearer secret"


@dataclass
class FakeUpstream:
    """`fails`: how the next answers go wrong; "" and the end of them: not at all."""

    fails: list[str] = field(default_factory=list[str])
    model: str = "m"
    refuses: tuple[str, ...] = ()  # fields
    tokenizes: tuple[int, ...] | None = SAMPLE[1]
    counts: int = 0  # tokens added to the prompt
    bodies: list[Json] = field(default_factory=list[Json])
    aborted: int = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            event = await receive()
            body, more = body + event["body"], event["more_body"]
        told: Json = json.loads(body or b"{}")
        if dict(scope["headers"]).get(b"authorization", b"").decode() != SECRET:
            await reply(send, 401, {"error": {"message": "who?"}})
        elif scope["path"] == "/v1/models":
            await reply(send, 200, {"data": [{"id": self.model, "max_model_len": 100}]})
        elif scope["path"] == "/tokenize":
            await reply(send, 200, {"tokens": self.tokenizes})
        elif refused := [name for name in self.refuses if told.get(name) is not None]:
            code = "invalid_schema" if refused[0] == "response_format" else 400
            await reply(send, 400, {"error": {"message": f"no {refused[0]} here", "code": code}})
        else:
            await self._complete(told, receive, send)

    async def _complete(self, told: Json, receive: Any, send: Any) -> None:
        self.bodies.append(told)
        usage = {"prompt_tokens": len(told["prompt"]) + self.counts, "prompt_tokens_details": {"cached_tokens": 1}}
        if not told["stream"]:
            choice = {
                "token_ids": TOKENS[:1],
                "finish_reason": "length",
                "prompt_logprobs": told.get("prompt_logprobs") and PROMPT_LOGPROBS,
            }
            await reply(send, 200, {"choices": [choice], "usage": usage})
            return
        fails = self.fails.pop(0) if self.fails else ""
        if fails.isdigit():
            await reply(send, int(fails), {"error": {"message": "reasons"}})
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        at, _, what = fails.partition(":")
        for place, token in enumerate(TOKENS):
            if fails and place == int(at):
                await self._fail(what, receive, send)
            finish = "stop" if token == 2 else None
            texts = [f"token_id:{token}"]
            logprobs = {"tokens": texts, "token_logprobs": [-1.0], "top_logprobs": [{"token_id:5": -0.5, texts[0]: -1.0}]}
            choice = {"token_ids": [token], "finish_reason": finish, "logprobs": logprobs if "logprobs" in told else None}
            await event(send, {"choices": [choice], "usage": None})
        await event(send, {"choices": [], "usage": usage})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def _fail(self, what: str, receive: Any, send: Any) -> None:
        match what:
            case "closes":
                raise ConnectionError("on purpose")
            case "hangs":
                while (await receive())["type"] != "http.disconnect":
                    pass
                self.aborted += 1
            case "error":
                await event(send, {"error": {"message": "reasons"}})
            case _:
                await send({"type": "http.response.body", "body": what.encode() + b"\n\n", "more_body": True})


PROMPT_LOGPROBS = [None, {"2": {"logprob": -3.0}, "9": {"logprob": -1.0}}]


async def reply(send: Any, status: int, body: Json) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


async def event(send: Any, body: Json) -> None:
    await send({"type": "http.response.body", "body": b"data: " + json.dumps(body).encode() + b"\n\n", "more_body": True})


def request(sampling: Json | None = None, **options: Any) -> Request:
    known = {"max_tokens": 9, "stop_tokens": frozenset({2}), **(sampling or {})}
    return Request(tokens=options.pop("tokens", (3, 4, 5)), sampling=Sampling(**known), **options)


async def answer(engine: RemoteEngine, asked: Request) -> list[Delta]:
    return [delta async for delta in engine.generate(asked)]


def spoken(deltas: list[Delta]) -> tuple[int, ...]:
    return tuple(token for delta in deltas for token in delta.tokens)


@asynccontextmanager
async def engine(*urls: str, **options: Any) -> AsyncGenerator[RemoteEngine]:
    known = {"vocab": 10, "sample": SAMPLE, "key": "secret", "patience": 2.0, **options}
    opened = await asyncio.to_thread(connect, RemoteOptions(urls=urls, **known))
    try:
        yield opened
    finally:
        await opened.close()


def run(use: Callable[[RemoteEngine], Coroutine[Any, Any, None]], *fakes: FakeUpstream, **options: Any) -> None:
    async def inside(*urls: str) -> None:
        async with engine(*urls, **options) as opened:
            await use(opened)

    def nested(left: tuple[FakeUpstream, ...], urls: tuple[str, ...]) -> None:
        if not left:
            asyncio.run(inside(*urls))
            return
        with serving(left[0]) as url:
            nested(left[1:], (*urls, url))

    nested(fakes, ())


FIRST = ["429", "503", "500", "401", "0:closes", "0:error", "0:hangs", "0:<html>", "0:data: {", "0:data: []", '0:data: {"choices":[{}]}']


def test_whatever_fails_before_the_first_token_is_done_by_another() -> None:
    bad, good = FakeUpstream(fails=list(FIRST)), FakeUpstream()

    async def use(opened: RemoteEngine) -> None:
        for fails in FIRST:
            opened._pool.upstreams[0].fault = None  # pyright: ignore[reportPrivateUsage] (one that closes a connection is left alone)
            opened._pool.upstreams[1].begun += 100  # pyright: ignore[reportPrivateUsage]
            deltas = await answer(opened, request({"logprobs": 1}, tokens=(3, 4, FIRST.index(fails))))
            assert spoken(deltas) == TOKENS and deltas[-1].finish == "stop", fails
            assert deltas[-1].usage is not None and (deltas[-1].usage.completion, deltas[-1].usage.cached) == (3, 1)
            assert deltas[0].logprobs == (TokenLogprob(token=7, logprob=-1.0, top=((5, -0.5),)),)
        assert opened.stats().running == 0 and opened.stats().generated_tokens == 3 * len(FIRST)

    run(use, bad, good)
    assert not bad.fails and len(good.bodies) == len(FIRST) + TRIALS


@pytest.mark.parametrize("fails", ["1:closes", "1:error", "1:hangs", "1:<html>", "1:data: [DONE]"])
def test_what_fails_later_is_told(fails: str) -> None:
    async def use(opened: RemoteEngine) -> None:
        said = list[int]()
        with pytest.raises(EngineUnavailable, match=r"upstream 1 .*, in the middle of an answer"):
            async for delta in opened.generate(request()):
                said += delta.tokens
        assert said == [7]

    run(use, FakeUpstream(fails=[fails]), FakeUpstream())


def test_none_left() -> None:
    async def use(opened: RemoteEngine) -> None:
        with pytest.raises(QueueFull, match="upstream 1 has no room: reasons"):
            await answer(opened, request())
        with pytest.raises(EngineUnavailable, match="upstream 2 has failed \\(500\\): reasons"):
            await answer(opened, request())
        for watch in opened._watches.values():  # pyright: ignore[reportPrivateUsage]
            watch.close()
            watch.upstream.fault = "away"
        assert opened.fault == "upstream 1: away; upstream 2: away"
        with pytest.raises(EngineUnavailable, match="no upstream answers: upstream 1: away"):
            await answer(opened, request())
        await opened.close()
        with pytest.raises(EngineStopped):
            await answer(opened, request())

    run(use, FakeUpstream(fails=["429", "500"]), FakeUpstream(fails=["500", "500"]))


def test_what_no_upstream_would_take() -> None:
    """Is told at once, and asked of nobody else."""
    budget = ThoughtBudget(tokens=1, end=(1,), watch=lambda: pytest.fail("not watched"))
    first, second = FakeUpstream(refuses=("seed", "response_format")), FakeUpstream()

    async def use(opened: RemoteEngine) -> None:
        for asked, error, told in (
            (request(tokens=tuple(range(100))), PromptTooLong, "100 tokens"),
            (request(tokens=()), EngineError, "no tokens"),
            (request({"bad_words": ((1,),)}), Unsupported, "bad_words"),
            (request(encoder=(1, 2)), Unsupported, "encoder"),
            (request({"forced_first": 0}), Unsupported, "forced_first"),
            (request({"no_repeat": 3}), Unsupported, "no_repeat"),
            (request(thoughts=budget), Unsupported, "a limit of thoughts"),
            (request({"seed": 1}), Unsupported, "upstream 1: no seed here"),
            (request(grammar=JsonSchema(schema="{}", lenient=True)), InvalidGrammar, "upstream 1: no response_format here"),
        ):
            with pytest.raises(error, match=told):
                await answer(opened, asked)
            opened._pool.upstreams[1].begun += 10  # pyright: ignore[reportPrivateUsage]

    run(use, first, second)
    assert len(second.bodies) == TRIALS


def test_what_is_sent() -> None:
    fake = FakeUpstream()
    sampling = {"seed": 5, "logit_bias": ((3, 1.5),), "top_p": 0.0, "logprobs": 0, "temperature": 0.25, "stop_tokens": frozenset({2, 9})}

    async def use(opened: RemoteEngine) -> None:
        await answer(opened, request(sampling, owner="o", priority=2**31))
        for grammar in (JsonSchema(schema="{}"), JsonObject(), Regex(pattern="a"), Choice(options=("a",)), Lark(source="start: x")):
            await answer(opened, request(grammar=grammar, owner="p"))
        (only,) = await answer(opened, request({"prompt_logprobs": 1, "max_tokens": 0}, tokens=(1, 2)))
        assert only.prompt_logprobs == (TokenLogprob(token=2, logprob=-3.0, top=((9, -1.0),)),)
        assert (only.tokens, only.finish, only.usage) == ((), "length", Usage(prompt=2, completion=0, cached=1))

    run(use, fake)
    sent, *grammars, scored = fake.bodies[TRIALS:]
    expected = {"seed": 5, "logit_bias": {"3": 1.5}, "logprobs": 0, "temperature": 0.25, "stop_token_ids": [2, 9], "ignore_eos": True}
    assert expected.items() <= sent.items() and 0 < sent["top_p"] < 1e-6 and sent["priority"] == 2**31 - 1
    assert "o" != sent["cache_salt"] != grammars[0]["cache_salt"] and "cache_salt" not in scored
    kinds = [{"json": "{}"}, {"json_object": True}, {"regex": "a"}, {"choice": ["a"]}, {"grammar": "start: x"}]
    assert [body["structured_outputs"] for body in grammars] == kinds and "ignore_eos" not in grammars[0]


def test_one_that_takes_less_gets_less() -> None:
    """As vLLM without priority scheduling, and with its own choice of a compiler of grammars."""
    fake = FakeUpstream(refuses=("priority", "cache_salt", "structured_outputs"))

    async def use(opened: RemoteEngine) -> None:
        assert spoken(await answer(opened, request(priority=3, owner="o"))) == TOKENS
        with pytest.raises(Unsupported, match="upstream 1 takes no grammars in the syntax of llguidance"):
            await answer(opened, request(grammar=Lark(source="start: x")))

    run(use, fake)


@pytest.mark.parametrize(
    ("fake", "options", "told"),
    [
        (FakeUpstream(), {"key": "wrong"}, "does not take the key"),
        (FakeUpstream(model="n"), {"model": "m"}, "has no model 'm'; it has n"),
        (FakeUpstream(tokenizes=(1, 3)), {}, r"has another tokenizer: 'ab' is \[1, 3\] there and \[1, 2\] here"),
        (FakeUpstream(tokenizes=None), {}, "answers something else than a server of models"),
        (FakeUpstream(counts=1), {}, "reads 3 tokens where 2 are sent"),
        (FakeUpstream(refuses=("prompt",)), {}, "refuses a prompt of token ids: no prompt here"),
    ],
)
def test_one_that_cannot_be_used_is_told_at_start(fake: FakeUpstream, options: Json, told: str) -> None:
    async def use(opened: RemoteEngine) -> None:
        pytest.fail("was opened")

    with pytest.raises(Misfit, match=told):
        run(use, fake, **options)


def test_start_waits_for_the_first_and_the_others_come_when_they_are_there() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        late = f"http://127.0.0.1:{probe.getsockname()[1]}"
    waits = list[float]()
    with ExitStack() as up:

        def sleep(seconds: float) -> None:
            waits.append(seconds)
            up.enter_context(serving(FakeUpstream(), int(late.rpartition(":")[2])))

        opened = connect(RemoteOptions(urls=(late, "http://127.0.0.1:9/v1"), vocab=10, sample=SAMPLE, key="secret"), sleep)
        first, second = opened._pool.upstreams  # pyright: ignore[reportPrivateUsage]
        assert waits and first.fault is None and "does not answer" in str(second.fault) and opened.fault is None

        async def use() -> None:
            assert spoken(await answer(opened, request())) == TOKENS
            with serving(FakeUpstream(model="n")) as url:
                second.url = url
                watch = opened._watches[second]  # pyright: ignore[reportPrivateUsage]
                await asyncio.to_thread(watch.look)
                assert "has no model 'm'" in str(second.fault)
            with serving(FakeUpstream()) as url:
                second.url = url
                await asyncio.to_thread(watch.look)
                assert second.fault is None
            await asyncio.to_thread(watch.look)
            assert "does not answer" in str(second.fault)
            await opened.close()

        asyncio.run(use())


def test_closing_is_the_abort() -> None:
    fake = FakeUpstream(fails=["1:hangs"])

    async def use(opened: RemoteEngine) -> None:
        deltas = opened.generate(request())
        assert (await anext(deltas)).tokens == (7,)
        assert opened.stats().running == 1
        await deltas.aclose()
        assert opened.stats().running == 0 and opened.stats().aborts == 1
        while not fake.aborted:
            await asyncio.sleep(0.01)

    run(use, fake, patience=60)


def test_the_least_loaded_or_the_one_that_knows_the_beginning() -> None:
    a, b = Upstream("a", "", fault=None), Upstream("b", "", fault=None)
    pool, long = Pool([a, b]), tuple(range(100))

    def chosen(tokens: tuple[int, ...], owner: str = "", tried: tuple[Upstream, ...] = ()) -> Upstream | None:
        upstream = pool.choose(request(tokens=tokens, owner=owner), tried)
        with upstream.counted() if upstream else nullcontext():
            return upstream

    assert chosen(long) is a and chosen((1, 2)) is b and chosen((1, 2)) is a  # short ones in turn
    assert chosen((*long[:70], 5)) is a and chosen((*long[:70], 6)) is a and chosen(long, "other owner") is b
    a.running = SLACK
    assert chosen(long) is b and chosen(long) is b  # it has computed it, too
    a.running, b.fault = 0, "away"
    assert chosen(long) is a and chosen(long, tried=(a,)) is None
