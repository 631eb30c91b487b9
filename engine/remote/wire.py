"""Between the engine's requests and POST /v1/completions: a prompt of token ids goes out, `token_ids` come back (as vLLM from 0.10 on
has it, and this server). Text in answers is not looked at.

What a completion cannot say is refused: a limit of thoughts, words that are given as tokens. How an answer is closed that a grammar
has begun when its tokens run out is the upstream's matter (this server closes it, others cut it off): `Closing` is not sent.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.api import (
    Choice,
    Delta,
    Finish,
    Grammar,
    JsonObject,
    JsonSchema,
    Lark,
    Regex,
    Request,
    Sampling,
    TokenLogprob,
    Unsupported,
    Usage,
    cache_salt,
)

Json = dict[str, Any]
AS_ID = "token_id:"
LEAST_TOP_P = 1e-9  # vLLM takes no 0, which means the same: the likeliest token
MAX_PRIORITY = 2**31 - 1
STREAM_OPTIONS = {"include_usage": True, "continuous_usage_stats": True}
FINISHES: Mapping[str, Finish] = {"stop": "stop", "length": "length", "abort": "abort"}


class Garbled(Exception):
    """The upstream's answer is none. The message goes on after the name of the upstream."""


def to_body(request: Request, model: str, *, priorities: bool = True, salts: bool = True) -> Json:
    """`priorities`, `salts`: the upstream takes them. Raises Unsupported."""
    _expect_possible(request)
    sampling = request.sampling
    whole = sampling.prompt_logprobs is not None  # which vLLM streams not
    body: Json = {
        "model": model,
        "prompt": request.tokens,
        "max_tokens": max(1, sampling.max_tokens),
        "min_tokens": sampling.min_tokens,
        "stream": not whole,
        "return_token_ids": True,
        "return_tokens_as_token_ids": True,
        "skip_special_tokens": False,
        "temperature": sampling.temperature,
        "top_p": max(sampling.top_p, LEAST_TOP_P),
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "repetition_penalty": sampling.repetition_penalty,
        "stop_token_ids": sorted(sampling.stop_tokens),
    }
    optional = {
        "stream_options": None if whole else STREAM_OPTIONS,
        "ignore_eos": True if request.grammar is None else None,  # only stop_tokens end the answer, and the end of a grammar
        "logit_bias": {str(token): bias for token, bias in sampling.logit_bias} or None,
        "seed": sampling.seed,
        "logprobs": sampling.logprobs,
        "prompt_logprobs": sampling.prompt_logprobs,
        "priority": min(request.priority, MAX_PRIORITY) if priorities and request.priority else None,
        "cache_salt": cache_salt(request) if salts else None,
        **({} if request.grammar is None else _grammar(request.grammar)),
    }
    return body | {name: value for name, value in optional.items() if value is not None}


_PLAIN = Sampling(max_tokens=1)
# what no other server is asked for
_OWN = ("not_first", "no_repeat", "forced_first", "forced_last", "timestamps", "denoising", "beams", "scored")


def _expect_possible(request: Request) -> None:
    if request.encoder:
        raise Unsupported("encoder: this server's engine is another server, which takes no input beside a prompt")
    if request.images:
        raise Unsupported("images: this server's engine is another server, which takes tokens alone")
    if request.sampling.bad_words:
        raise Unsupported("bad_words: this server's engine is another server, which takes no sequences of tokens")
    if asked := next((name for name in _OWN if _asks(request, name)), None):
        raise Unsupported(f"{asked}: this server's engine is another server, which takes none")
    if request.thoughts is not None:
        raise Unsupported("a limit of thoughts: this server's engine is another server, which takes none")


def _asks(request: Request, name: str) -> bool:
    return getattr(request.sampling, name) != getattr(_PLAIN, name)


def _grammar(grammar: Grammar) -> Json:
    match grammar:
        case JsonSchema(schema=schema, lenient=True):
            wanted = {"name": "answer", "schema": json.loads(schema), "strict": False}
            return {"response_format": {"type": "json_schema", "json_schema": wanted}}
        case JsonSchema(schema=schema):
            return {"structured_outputs": {"json": schema}}
        case JsonObject():
            return {"structured_outputs": {"json_object": True}}
        case Regex(pattern=pattern):
            return {"structured_outputs": {"regex": pattern}}
        case Choice(options=options):
            return {"structured_outputs": {"choice": list(options)}}
        case Lark(source=source):
            return {"structured_outputs": {"grammar": source}}


@dataclass(slots=True)
class AnswerReader:
    """The chunks of one answer. Tokens wait for their logprobs, which an upstream may send later, and the last for the usage."""

    request: Request
    finish: Finish | None = None
    _tokens: list[int] = field(default_factory=list[int])
    _logprobs: list[TokenLogprob] = field(default_factory=list[TokenLogprob])
    _prompt_logprobs: tuple[TokenLogprob, ...] = ()
    _count: int = 0  # tokens sent on
    _cached: int = 0
    _began: bool = False

    @property
    def usage(self) -> Usage:
        """So far; nothing before the first chunk."""
        return Usage(prompt=len(self.request.tokens) if self._began else 0, completion=self._count, cached=self._cached)

    def push(self, chunk: Json) -> Delta | None:
        """What can be sent on; None: nothing. Raises Garbled."""
        try:
            self._take(chunk)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise Garbled(f"sends something that is no completion ({type(error).__name__}: {error})") from error
        if self.finish is not None:
            return None
        ready = len(self._tokens) if self.request.sampling.logprobs is None else min(len(self._tokens), len(self._logprobs))
        return self._delta(ready) if ready else None

    def end(self) -> Delta:
        """The last, once the answer has ended. Raises Garbled."""
        if self.finish is None:
            raise Garbled("has ended an answer without saying how")
        missing = self._tokens[len(self._logprobs) :] if self.request.sampling.logprobs is not None else []
        if not self.request.sampling.stop_tokens.issuperset(missing):
            raise Garbled("has not sent the logprobs of all tokens")
        return self._delta(len(self._tokens))

    def _take(self, chunk: Json) -> None:
        details = (chunk.get("usage") or {}).get("prompt_tokens_details") or {}
        self._cached = details.get("cached_tokens") or self._cached
        self._began = True
        for choice in chunk["choices"]:
            if "token_ids" not in choice:
                raise ValueError("token_ids are missing")
            self._tokens += map(int, choice["token_ids"] or ())
            if self.request.sampling.logprobs is not None and choice.get("logprobs"):
                self._logprobs += _logprobs(choice["logprobs"], self.request.sampling.logprobs)
            if choice.get("prompt_logprobs"):
                self._prompt_logprobs = tuple(_prompt_logprobs(choice["prompt_logprobs"], self.request))
            if (reason := choice.get("finish_reason")) is not None:
                self.finish = FINISHES[reason]

    def _delta(self, ready: int) -> Delta:
        nothing = self.request.sampling.max_tokens == 0  # then the upstream was asked for one token
        tokens, self._tokens = self._tokens[:ready], self._tokens[ready:]
        logprobs, self._logprobs = self._logprobs[:ready], self._logprobs[ready:]
        first, finish = not self._count, self.finish
        self._count += 0 if nothing else len(tokens)
        return Delta(
            tokens=() if nothing else tuple(tokens),
            logprobs=() if nothing else tuple(logprobs),
            prompt_logprobs=self._prompt_logprobs if first else (),
            finish="length" if nothing and finish == "stop" else finish,
            usage=self.usage if first or finish else None,
        )


def _logprobs(given: Json, count: int) -> list[TokenLogprob]:
    """`top_logprobs` also has the token itself, at its end if it is not among the `count` likeliest."""
    tops: list[Json | None] = given.get("top_logprobs") or [None] * len(given["tokens"])
    columns = zip(given["tokens"], given["token_logprobs"], tops, strict=True)
    return [TokenLogprob(token=_id(token), logprob=float(logprob), top=_top(top or {}, count)) for token, logprob, top in columns]


def _top(given: Json, count: int) -> tuple[tuple[int, float], ...]:
    likeliest = sorted(given.items(), key=lambda item: -item[1])[:count]
    return tuple((_id(token), float(logprob)) for token, logprob in likeliest)


def _id(token: str) -> int:
    if not token.startswith(AS_ID):
        raise ValueError("logprobs are not of token ids")
    return int(token.removeprefix(AS_ID))


def _prompt_logprobs(given: list[dict[str, Json] | None], request: Request) -> list[TokenLogprob]:
    count = request.sampling.prompt_logprobs or 0
    tops = ({token: one["logprob"] for token, one in (place or {}).items()} for place in given[1:])
    return [
        TokenLogprob(token=token, logprob=float(top[str(token)]), top=_top({f"{AS_ID}{id}": p for id, p in top.items()}, count))
        for token, top in zip(request.tokens[1:], tops, strict=True)
    ]
