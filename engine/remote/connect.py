"""Finds the upstreams and what they can do, and opens the engine over them."""

import json
import logging
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypedDict

import httpx

from engine.api import Lark, ModelInfo, Request, Sampling
from engine.remote.engine import RemoteEngine
from engine.remote.failures import explained
from engine.remote.upstream import Upstream
from engine.remote.watch import Absent, Misfit, Watch
from engine.remote.wire import AnswerReader, Garbled, Json, to_body

CONNECT, ASK = 5.0, 10.0  # seconds, to connect and to answer a question
KEEP_ALIVE = 4.0  # seconds; uvicorn closes idle connections after 5, and one that closes just now loses a request
WAIT = 1.0  # seconds, until all that are away at start are asked again
LARK = "%llguidance {}\nstart: /[a-z]/\n"
GUIDANCE = "--structured-outputs-config.backend guidance"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteOptions:
    urls: tuple[str, ...]  # with or without /v1
    vocab: int  # of the tokenizer
    sample: tuple[str, tuple[int, ...]]  # a text and its tokens: an upstream that tells others reads other prompts than are meant
    model: str | None = None  # what the upstreams call it; None: the first that they list
    context: int | None = None  # at most
    key: str | None = field(default=None, repr=False)
    patience: float = 300.0  # seconds without a byte of an answer


def connect(options: RemoteOptions, sleep: Callable[[float], None] = time.sleep) -> RemoteEngine:
    """Waits until one of the upstreams answers. Raises Misfit (a ValueError) for one that answers and cannot be used."""
    upstreams = [Upstream(f"upstream {n}", url.rstrip("/").removesuffix("/v1")) for n, url in enumerate(options.urls, 1)]
    known: _Known = {
        "headers": {} if options.key is None else {"Authorization": f"Bearer {options.key}"},
        "verify": httpx.create_ssl_context(trust_env=False),
        "trust_env": False,
    }
    ask = partial(httpx.Client, timeout=httpx.Timeout(ASK, connect=CONNECT), **known)
    with ask() as client:
        terms = _first_terms(client, options, upstreams, sleep)
    watches = [Watch(one, partial(_asked, ask, _join, terms, one), partial(_asked, ask, _entry, terms, one)) for one in upstreams]
    for watch in watches:
        watch.start()
    patience = httpx.Timeout(options.patience, connect=CONNECT, pool=None)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=KEEP_ALIVE)
    info = ModelInfo(context=terms.context, vocab=options.vocab)
    return RemoteEngine(info, terms.model, httpx.AsyncClient(timeout=patience, limits=limits, **known), watches)


class _Known(TypedDict):
    headers: dict[str, str]
    verify: ssl.SSLContext
    trust_env: bool


@dataclass(frozen=True, slots=True)
class Terms:
    """What all upstreams must keep."""

    model: str
    context: int
    sample: tuple[str, tuple[int, ...]]


def _first_terms(client: httpx.Client, options: RemoteOptions, upstreams: Sequence[Upstream], sleep: Callable[[float], None]) -> Terms:
    """Once some upstream answers; all that do have joined."""
    while not (listed := _listings(client, upstreams)):
        _log.warning("no upstream answers yet: %s", "; ".join(f"{one.url}: {one.fault}" for one in upstreams))
        sleep(WAIT)
    terms = _terms(options, listed)
    for upstream in listed:
        _join(client, terms, upstream)
        upstream.fault = None
    return terms


def _asked(ask: Callable[[], httpx.Client], work: Callable[[httpx.Client, Terms, Upstream], object], terms: Terms, one: Upstream) -> None:
    """With connections of its own, which are closed then: watches end at any time."""
    with ask() as client:
        work(client, terms, one)


def _listings(client: httpx.Client, upstreams: Sequence[Upstream]) -> dict[Upstream, list[Json]]:
    """Of those that answer: their models."""
    found = dict[Upstream, list[Json]]()
    for upstream in upstreams:
        try:
            found[upstream] = _models(client, upstream)
        except Absent as error:
            upstream.fault = str(error)
    return found


def _terms(options: RemoteOptions, listed: Mapping[Upstream, Sequence[Json]]) -> Terms:
    """The model's name, and the least of all contexts."""
    first = next(iter(listed.values()))
    model = options.model or str(first[0]["id"])
    entries = [_named(upstream, models, model) for upstream, models in listed.items()]
    contexts = [length for entry in entries if (length := entry.get("max_model_len"))]
    if options.context is not None:
        contexts.append(options.context)
    if not contexts:
        raise Misfit(f"no upstream tells how many tokens {model!r} reads (max_model_len): set --context")
    return Terms(model, min(contexts), options.sample)


def _models(client: httpx.Client, upstream: Upstream) -> list[Json]:
    """Raises Absent and Misfit."""
    try:
        response = client.get(f"{upstream.url}/v1/models")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Absent(f"it does not answer ({type(error).__name__})") from error
    if response.status_code in (401, 403):
        raise Misfit(f"{upstream.url} does not take the key of this server (--upstream-api-key-file, STOA_UPSTREAM_API_KEY)")
    if response.status_code != 200:
        raise Absent(f"it is not ready ({response.status_code})")
    try:
        models = [model for model in response.json()["data"] if model["id"]]
    except (ValueError, LookupError, TypeError) as error:
        raise Misfit(f"{upstream.url}/v1/models lists no models") from error
    if not models:
        raise Misfit(f"{upstream.url} has no model")
    return models


def _named(upstream: Upstream, models: Sequence[Json], name: str) -> Json:
    found = next((model for model in models if model["id"] == name), None)
    if found is None:
        raise Misfit(f"{upstream.url} has no model {name!r}; it has {', '.join(str(model['id']) for model in models)}")
    return found


def _entry(client: httpx.Client, terms: Terms, upstream: Upstream) -> Json:
    return _named(upstream, _models(client, upstream), terms.model)


def _join(client: httpx.Client, terms: Terms, upstream: Upstream) -> None:
    """All that must be known of an upstream before requests go there. Raises Absent and Misfit."""
    length = _entry(client, terms, upstream).get("max_model_len") or terms.context
    if length < terms.context:
        raise Misfit(f"{upstream.url} reads {length} tokens, and {terms.context} are promised")
    try:
        _expect_same_tokens(client, terms, upstream)
        _try(client, terms, upstream)
    except httpx.HTTPError as error:
        raise Absent(f"it does not answer ({type(error).__name__})") from error
    except (LookupError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise Misfit(f"{upstream.url} answers something else than a server of models ({type(error).__name__}: {error})") from error


def _expect_same_tokens(client: httpx.Client, terms: Terms, upstream: Upstream) -> None:
    """Where the upstream tells."""
    text, tokens = terms.sample
    body = {"model": terms.model, "prompt": text, "add_special_tokens": False}
    response = client.post(f"{upstream.url}/tokenize", json=body)
    if response.status_code == 200 and (told := tuple(response.json()["tokens"])) != tokens:
        raise Misfit(f"{upstream.url} has another tokenizer: {text!r} is {list(told)} there and {list(tokens)} here (--tokenizer)")


def _try(client: httpx.Client, terms: Terms, upstream: Upstream) -> None:
    """One token, to see that token ids go in and come out, and what else is taken."""
    request = Request(tokens=terms.sample[1], sampling=Sampling(max_tokens=1, temperature=0.0), priority=1, salt="trial")
    for priorities, salts in ((True, True), (False, True), (True, False), (False, False)):
        body = to_body(request, terms.model, priorities=priorities, salts=salts)
        response = client.post(f"{upstream.url}/v1/completions", json={**body, "stream": False, "stream_options": None})
        if response.status_code < 400 or response.status_code >= 500:
            break
    message = explained(_json(response))[0]
    if response.status_code >= 500:
        raise Absent(f"it is not ready: {message}")
    if response.status_code != 200:
        raise Misfit(f"{upstream.url} refuses a prompt of token ids: {message}")
    _expect_token_ids(response, request, upstream)
    upstream.lark = _takes_lark(client, terms, upstream)
    upstream.priorities, upstream.salts = priorities, salts
    if not priorities:
        _log.warning("%s takes no priorities: whoever comes first is first", upstream.url)
    if not salts:
        _log.warning("%s takes no cache_salt: how fast an answer begins may tell one key what another has asked", upstream.url)


def _takes_lark(client: httpx.Client, terms: Terms, upstream: Upstream) -> bool:
    """vLLM does with one of its compilers of grammars."""
    sampling = Sampling(max_tokens=1, temperature=0.0)
    request = Request(tokens=terms.sample[1], sampling=sampling, grammar=Lark(source=LARK))
    body = to_body(request, terms.model, priorities=False, salts=False)
    response = client.post(f"{upstream.url}/v1/completions", json={**body, "stream": False, "stream_options": None})
    if response.status_code != 200:
        _log.warning("%s takes no grammars of llguidance: there will be no tool calls; vLLM needs %s", upstream.url, GUIDANCE)
    return response.status_code == 200


def _expect_token_ids(response: httpx.Response, request: Request, upstream: Upstream) -> None:
    answer, reader = _json(response), AnswerReader(request)
    try:
        reader.push(answer)
        reader.end()
        read = answer["usage"]["prompt_tokens"]
    except (Garbled, KeyError, TypeError) as error:
        raise Misfit(f"{upstream.url} {error}; it must take prompts of token ids and return_token_ids, as vLLM from 0.10 on") from error
    if read != len(request.tokens):
        raise Misfit(f"{upstream.url} reads {read} tokens where {len(request.tokens)} are sent")


def _json(response: httpx.Response) -> Json:
    """{} for what is no object."""
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
