"""What answers requests: the loaded model with its engine and tokenizer, the knowledge base, the archive, the tool host."""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from engine.api import Delta, Engine, ModelInfo, Request, Stats
from retrieval.store.api import Store
from server.archive.api import Archive
from server.core.cost import current_charge
from server.core.errors import ApiError, bad_request, from_knowledge_error, model_not_found
from server.core.tool_host import ToolHost
from server.core.tool_limits import ToolLimits
from server.core.version import our_version
from server.images.model import ImageModel
from server.runtime.classifier import ClassifierModel
from server.runtime.knowledge_base import KnowledgeBase
from server.runtime.tracing.api import LoopTracer
from server.speech.model import SpeechModel
from server.text.encoder_decoder.languages import NO_LANGUAGES, LanguageError, LanguagePair
from server.text.grammars.cache import GrammarCache, GrammarTexts
from server.text.images.sight import Sight
from server.text.tokenizer import ChatTokenizer


@dataclass(frozen=True, slots=True)
class ChangedEngine:
    """Implements engine.api.Engine: another one that is given each request changed."""

    engine: Engine
    change: Callable[[Request], Request]

    @property
    def info(self) -> ModelInfo:
        return self.engine.info

    @property
    def alive(self) -> bool:
        return self.engine.alive

    @property
    def fault(self) -> str | None:
        return self.engine.fault

    def generate(self, request: Request) -> AsyncIterator[Delta]:
        return self.engine.generate(self.change(request))

    def stats(self) -> Stats:
        return self.engine.stats()

    async def close(self) -> None:
        await self.engine.close()


@dataclass(frozen=True)
class ChatModel:
    """One of several models that a server has loaded, each with an engine of its own."""

    name: str
    engine: Engine
    tokenizer: ChatTokenizer
    grammar_texts: GrammarTexts = field(default_factory=GrammarTexts)
    sight: Sight | None = None  # None: it reads text alone

    def with_engine(self, change: Callable[[Engine], Engine]) -> "ChatModel":
        return replace(self, engine=change(self.engine))

    def with_requests(self, change: Callable[[Request], Request]) -> "ChatModel":
        """The same, whose engine is given each request changed."""
        return replace(self, engine=ChangedEngine(self.engine, change))


@dataclass(frozen=True)
class Runtime:
    """Everything that is opened at start and closed at the end."""

    names: tuple[str, ...]  # of the model; the first is reported, all are accepted
    engine: Engine
    tokenizer: ChatTokenizer
    created: int  # Unix time
    knowledge_base: KnowledgeBase | None = None  # None: chat only
    archive: Archive | None = None  # None: nothing can be stored
    tool_host: ToolHost | None = None  # None: no MCP servers
    database: Store | None = None  # of knowledge base and archive; None: neither is there
    tool_limits: ToolLimits = field(default_factory=ToolLimits)  # of a request's tool loop, at most
    aliases: Mapping[str, str] = field(default_factory=dict[str, str])  # other names of models -> names
    max_answer_tokens: int | None = None  # of an answer whose request does not limit them; None: what the context leaves
    grammar_texts: GrammarTexts = field(default_factory=GrammarTexts)
    sealing_key: bytes = field(default_factory=partial(secrets.token_bytes, 32), repr=False)  # of what clients keep for this server
    others: tuple[ChatModel, ...] = ()  # chat models that a request may name instead
    speech: SpeechModel | None = None  # None: nothing is transcribed
    classifier: ClassifierModel | None = None  # None: only images are classified, by texts, where a model reads both
    images: ImageModel | None = None  # None: no pictures are made
    sight: Sight | None = None  # of the model; None: it reads text alone
    # the image that a URL names, for the field that holds it. Raises ApiError. None: nothing is fetched
    fetch_image: Callable[[str, str], Awaitable[bytes]] | None = None
    owner: str = ""  # whose caches are used; "": nobody's in particular
    tracer: LoopTracer | None = None  # None: nothing is traced

    @property
    def fingerprint(self) -> str:
        """Changes with whatever may change the answers to a seed: this server's version, and the model."""
        info = self.engine.info
        known = (our_version(), self.names[0], info.architecture, info.parameters, info.vocab, info.context, sorted(info.extra.items()))
        return f"fp_{hashlib.sha256(repr(known).encode()).hexdigest()[:12]}"

    @property
    def answer_limit(self) -> int | None:
        """Tokens of an answer whose request does not limit them: by the operator and the checkpoint. None: what the context leaves."""
        model = self.tokenizer.encoder_decoder
        limits = (self.max_answer_tokens, None if model is None else model.defaults.max_tokens)
        return min((limit for limit in limits if limit is not None), default=None)

    @property
    def grammar_cache(self) -> GrammarCache:
        return GrammarCache(self.tokenizer, self.grammar_texts, self.owner)

    def for_owner(self, owner: str) -> "Runtime":
        """The same, with every cache of what `owner` has sent apart from those of others."""
        owned = self.with_requests(lambda request: replace(request, owner=owner, charge=current_charge()))
        others = tuple(replace(other, tokenizer=other.tokenizer.for_owner(owner)) for other in owned.others)
        return replace(owned, tokenizer=self.tokenizer.for_owner(owner), others=others, owner=owner)

    def with_requests(self, change: Callable[[Request], Request]) -> "Runtime":
        """The same, whose engines are given each request changed."""
        others = tuple(other.with_requests(change) for other in self.others)
        speech = self.speech and self.speech.with_requests(change)
        return replace(self, engine=ChangedEngine(self.engine, change), others=others, speech=speech)

    def choose(self, model: str | None) -> "Runtime":
        """The same with the chat model that is called so, by its name or an alias, and with the languages that the name ends with
        (`nllb:de-en`); itself where none of the others is. Raises ApiError for a language that the model does not have."""
        if model is None:
            return self
        name, pair = self._named(model)
        return self._chosen(name)._translating(model, pair)

    def _translating(self, model: str, pair: LanguagePair) -> "Runtime":
        reads = self.tokenizer.encoder_decoder
        if pair == NO_LANGUAGES or reads is None:
            return self
        try:
            return replace(self, tokenizer=replace(self.tokenizer, encoder_decoder=reads.choosing(pair)))
        except LanguageError as error:
            raise bad_request("model", f"model: {model}: {error}", "unknown_language") from error

    def _chosen(self, name: str) -> "Runtime":
        chosen = next((other for other in self.others if other.name == name), None)
        if chosen is None:
            return self
        own = ChatModel(self.names[0], self.engine, self.tokenizer, self.grammar_texts, self.sight)
        others = tuple(own if other is chosen else other for other in self.others)
        parts = {"engine": chosen.engine, "tokenizer": chosen.tokenizer, "grammar_texts": chosen.grammar_texts, "sight": chosen.sight}
        return replace(self, names=(chosen.name,), others=others, **parts)

    @property
    def engines(self) -> dict[str, Engine]:
        """Of all chat models, by name."""
        return {self.names[0]: self.engine, **{other.name: other.engine for other in self.others}}

    @property
    def tokenizers(self) -> dict[str, ChatTokenizer]:
        """Of all chat models, by name."""
        return {self.names[0]: self.tokenizer, **{other.name: other.tokenizer for other in self.others}}

    @property
    def all_engines(self) -> dict[str, Engine]:
        """That of the model of speech, too, which comes last."""
        return self.engines if self.speech is None else {**self.engines, self.speech.name: self.speech.engine}

    @property
    def chat_names(self) -> list[str]:
        """Of all chat models."""
        return [*self.names, *(other.name for other in self.others)]

    @property
    def alive(self) -> bool:
        makes_images = self.images is None or self.images.engine.alive
        return makes_images and all(engine.alive for engine in self.all_engines.values())

    @property
    def fault(self) -> str | None:
        """Why a model answers nothing now. It mends itself."""
        found = {name: engine.fault for name, engine in self.all_engines.items() if engine.fault is not None}
        several = len(self.all_engines) > 1
        named = (f"{name}: {fault}" if several else fault for name, fault in found.items())
        return "; ".join(named) or None

    async def close_engines(self) -> None:
        for engine in self.all_engines.values():
            await engine.close()
        if self.speech is not None:
            await asyncio.to_thread(self.speech.decoder.close)
        if self.classifier is not None:
            await self.classifier.classifier.close()
        if self.images is not None:
            await self.images.engine.close()
            await asyncio.to_thread(self.images.decoder.close)
        for sight in (self.sight, *(other.sight for other in self.others)):
            if sight is not None:
                await asyncio.to_thread(sight.close)

    async def close(self) -> None:
        """Pending requests fail. The database is closed last: the others use it."""
        if self.tool_host is not None:
            await self.tool_host.close()
        await self.close_engines()
        if self.knowledge_base is not None:
            await self.knowledge_base.close()
        elif self.database is not None:
            await asyncio.to_thread(self.database.close)

    def expect_model(self, model: str | None) -> None:
        """Raises ApiError 404 unless `model` is this one."""
        if model is not None and self.real_name(model) not in self.names:
            known = self.chat_names
            raise model_not_found(model, [*known, *(alias for alias, name in self.aliases.items() if name in known)])

    def real_name(self, model: str) -> str:
        """The name that `model` is an alias of, without languages at its end; or `model`."""
        return self._named(model)[0]

    def _named(self, model: str) -> tuple[str, LanguagePair]:
        """A model's name, and the languages that `model` ends with where that model has some: `:SOURCE-TARGET`, or `:TARGET`."""
        name = self.aliases.get(model, model)
        head, _, tail = name.rpartition(":")
        head = self.aliases.get(head, head)
        tokenizers = self.tokenizers
        reads = tokenizers[head].encoder_decoder if head in tokenizers and name not in tokenizers else None
        if reads is None or reads.languages is None:
            return name, NO_LANGUAGES
        source, _, target = tail.rpartition("-")
        return head, LanguagePair(source or None, target or None)


def expect_writable(runtime: Runtime) -> None:
    """Before an answer that is to be stored is generated. Raises ApiError if the database could not be used just now."""
    if runtime.database is not None and (fault := runtime.database.fault) is not None:
        raise from_knowledge_error(fault)


def expect_knowledge_base(runtime: Runtime) -> KnowledgeBase:
    """Raises ApiError 400 that names the setting."""
    if runtime.knowledge_base is None:
        message = "this server has no knowledge base and no embedding model: start it with --embedding-model NAME (STOA_EMBEDDING_MODEL)"
        raise bad_request(None, message, "no_embedding_model")
    return runtime.knowledge_base


def expect_speech(runtime: Runtime, what: str) -> SpeechModel:
    """`what` needs it, as the error says. Raises ApiError 400 that names the setting."""
    if runtime.speech is None:
        message = f"{what}: this server has no model of speech: start it with --transcription-model whisper-tiny (STOA_TRANSCRIPTION_MODEL)"
        raise bad_request(what, message, "no_transcription_model")
    return runtime.speech


def expect_archive(runtime: Runtime) -> Archive:
    """Raises ApiError 400."""
    if runtime.archive is None:
        raise _nothing_stored()
    return runtime.archive


def expect_database(runtime: Runtime) -> Store:
    """Raises ApiError 400."""
    if runtime.database is None:
        raise _nothing_stored()
    return runtime.database


def _nothing_stored() -> ApiError:
    return bad_request(None, "this server has no database and keeps nothing", "nothing_stored")
