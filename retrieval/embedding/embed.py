"""Embeds and scores texts: a model's tokenizer and prompts on top of the engine's encoder.

`open_embedder` and `open_reranker` load the models that models/ supports, and all others with the sentence-transformers library."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from engine.api import Encoder, Judge, PromptTooLong, Sentence
from retrieval.api import ModelIdentity, Vectors
from retrieval.embedding.encoding import TextEncoder
from retrieval.embedding.images import EncoderSight, open_sight
from retrieval.embedding.model_folder import Kind, ModelFolder, read_folder, revision

if TYPE_CHECKING:
    from retrieval.embedding.sentence_transformers import LibraryEmbedder, LibraryReranker

INLINE_CHARACTERS = 4096  # texts up to this length are tokenized in the event loop: less than a millisecond


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedOptions:
    device: str = "cpu"
    dtype: Literal["int8", "bfloat16", "float32"] | None = None  # None: the device's fastest
    threads: int | None = None  # None: one per core
    level: str | None = None  # instruction set of the compiled kernels; None: the best available
    query_prompt: str | None = None  # None: as in the model folder
    document_prompt: str | None = None
    configured_name: str = ""  # name in the operator's settings


class EncoderEmbedder:
    """Implements retrieval.api.Embedder."""

    def __init__(self, encoder: Encoder, folder: ModelFolder, sight: EncoderSight | None = None) -> None:
        """`encoder`: loaded from the same folder, and closed with this object, as is `sight`. Raises ValueError for a classifier."""
        info = encoder.info
        if info.output != "vector":
            raise ValueError(f"{folder.name} is a cross-encoder ({info.architecture}): it can rerank, but makes no vectors")
        if not info.max_tokens:
            raise ValueError(f"{folder.name} reads images alone ({info.architecture}), and makes no vectors of texts")
        self._encoder, self._prompts, self.sight = encoder, folder.prompts, sight
        self._encoding = TextEncoder(folder.tokenizer(), lowercase=folder.lowercase)
        self._max_length = min(info.max_tokens, folder.max_tokens or info.max_tokens)
        self.vocab = info.vocab
        self.identity = ModelIdentity(
            model=folder.name,
            revision=revision(folder.transformer_path),
            dimensions=info.width,
            pooling=info.pooling,
            query_prompt=folder.prompts["query"],
            document_prompt=folder.prompts["document"],
            called=folder.configured_name,
        )

    @property
    def judge(self) -> Judge | None:
        """Of a model that reads images, too."""
        return self._encoder.info.judge

    @property
    def max_tokens(self) -> int:
        """Longest document, without prompt and special tokens."""
        return self._max_length - self._encoding.overhead - self._encoding.count(self._prompts["document"])

    def offsets(self, text: str) -> list[tuple[int, int]]:
        return self._encoding.offsets(text)

    def fluency(self, text: str) -> float:
        return self._encoding.fluency(text)

    def tokens(self, text: str, kind: Kind | None = None) -> tuple[int, ...]:
        """Token ids the model reads for `text`: with prompt (`kind` None: none) and special tokens, truncated to its maximum length."""
        return self._sentences([text], kind)[0].tokens

    async def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        """Raises EngineError: QueueFull, EngineStopped."""
        if sum(map(len, texts)) <= INLINE_CHARACTERS:
            return await self._encoder.embed(self._sentences(texts, kind))
        return await self._encoder.embed(await asyncio.to_thread(self._sentences, texts, kind))

    async def embed_tokens(self, batch: Sequence[Sequence[int]]) -> Vectors:
        """`batch`: token ids including special tokens. Raises EngineError, among others PromptTooLong."""
        if long := [len(tokens) for tokens in batch if len(tokens) > self._max_length]:
            raise PromptTooLong(f"the text has {long[0]} tokens; this model reads {self._max_length}")
        return await self._encoder.embed([Sentence(tokens=tuple(tokens)) for tokens in batch])

    async def close(self) -> None:
        if self.sight is not None:
            self.sight.close()
        await self._encoder.close()

    def _sentences(self, texts: Sequence[str], kind: Kind | None) -> list[Sentence]:
        prompt = self._prompts[kind] if kind else ""
        return self._encoding.single([prompt + text for text in texts], self._max_length)


class EncoderReranker:
    """Implements retrieval.api.Reranker with a cross-encoder, which reads query and text together (Nogueira & Cho 2019, arXiv 1901.04085).
    Texts are truncated to the model's maximum length, a query to half of it."""

    def __init__(self, encoder: Encoder, folder: ModelFolder) -> None:
        """Raises ValueError unless the model outputs a single score."""
        info = encoder.info
        if info.output != "score" or info.width != 1 or not info.max_tokens:
            kind = f"a classifier with {info.width} labels" if info.output == "score" else "an embedding model"
            raise ValueError(f"{folder.name} is {kind}: reranking needs a cross-encoder, which gives one score")
        self._encoder = encoder
        self._encoding = TextEncoder(folder.tokenizer(), lowercase=folder.lowercase)
        self._max_length = min(info.max_tokens, folder.max_tokens or info.max_tokens)

    async def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """0..1: the sigmoid of the model's logit. Raises EngineError: QueueFull, EngineStopped."""
        pairs = await asyncio.to_thread(self._encoding.pairs, query, texts, self._max_length)
        logits = await self._encoder.embed(pairs)
        return (0.5 + 0.5 * np.tanh(0.5 * logits[:, 0].astype(np.float64))).tolist()

    async def close(self) -> None:
        await self._encoder.close()


def open_embedder(directory: Path, options: EmbedOptions) -> "EncoderEmbedder | LibraryEmbedder":
    """Raises ValueError (also those of models.hf and models.weights) for a model that cannot be loaded."""
    from engine.embedded.encoder.load import UnsupportedEncoder

    folder = _folder(directory, options)
    try:
        encoder = open_encoder(directory, options)
    except UnsupportedEncoder as error:
        from retrieval.embedding.sentence_transformers import open_library_embedder

        return open_library_embedder(directory, folder, options.device, error)
    return EncoderEmbedder(encoder, folder, open_sight(encoder, folder.transformer_path))


def open_reranker(directory: Path, options: EmbedOptions) -> "EncoderReranker | LibraryReranker":
    """As `open_embedder`."""
    from engine.embedded.encoder.load import UnsupportedEncoder

    folder = _folder(directory, options)
    try:
        encoder = open_encoder(directory, options)
    except UnsupportedEncoder as error:
        from retrieval.embedding.sentence_transformers import open_library_reranker

        return open_library_reranker(directory, options.device, error)
    return EncoderReranker(encoder, folder)


def _folder(directory: Path, options: EmbedOptions) -> ModelFolder:
    folder = read_folder(directory)
    wanted: dict[Kind, str | None] = {"query": options.query_prompt, "document": options.document_prompt}
    prompts = {kind: folder.prompts[kind] if text is None else text for kind, text in wanted.items()}
    return replace(folder, prompts=prompts, configured_name=options.configured_name)


def open_encoder(directory: Path, options: EmbedOptions) -> Encoder:
    """Imports the engine only when a model is opened. Raises ValueError, which UnsupportedEncoder is, too."""
    from engine.embedded.encoder.engine import EmbeddedEncoder
    from engine.embedded.encoder.load import EncoderOptions, load_encoder

    encoder_options = EncoderOptions(device=options.device, dtype=options.dtype, threads=options.threads, level=options.level)
    return EmbeddedEncoder(load_encoder(directory, encoder_options))
