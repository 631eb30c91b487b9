"""Models that models/ does not support, run by the sentence-transformers library: slower, but it reads nearly everything."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from engine.api import PromptTooLong
from retrieval.api import ModelIdentity, Vectors
from retrieval.embedding.encoding import TextEncoder
from retrieval.embedding.model_folder import Kind, ModelFolder, revision

T = TypeVar("T")


class _SingleThread:
    """The library's models are not thread-safe: all calls go through one thread."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, name)

    async def __call__(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    async def close(self) -> None:
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)


class LibraryEmbedder:
    """Implements retrieval.api.Embedder."""

    sight = judge = None

    def __init__(self, model: Any, folder: ModelFolder) -> None:
        """`model`: a SentenceTransformer."""
        self._model, self._prompts, self._run = model, folder.prompts, _SingleThread("sentence-transformers")
        model.tokenizer.split_special_tokens = True  # special tokens in texts are plain text
        self._encoding = TextEncoder(model.tokenizer.backend_tokenizer.to_str(), lowercase=folder.lowercase)
        self._max_length: int = model.max_seq_length or 512
        self.vocab: int = len(model.tokenizer)
        self.identity = ModelIdentity(
            model=folder.name,
            revision=revision(folder.transformer_path),
            dimensions=model.get_embedding_dimension(),
            pooling="+".join(["library", *(["normalize"] if _normalizes(model) else [])]),
            query_prompt=folder.prompts["query"],
            document_prompt=folder.prompts["document"],
            called=folder.configured_name,
        )

    @property
    def max_tokens(self) -> int:
        return self._max_length - self._encoding.overhead - self._encoding.count(self._prompts["document"])

    def offsets(self, text: str) -> list[tuple[int, int]]:
        return self._encoding.offsets(text)

    def fluency(self, text: str) -> float:
        return self._encoding.fluency(text)

    def tokens(self, text: str, kind: Kind | None = None) -> tuple[int, ...]:
        prompt = self._prompts[kind] if kind else ""
        return self._encoding.single([prompt + text], self._max_length)[0].tokens

    async def embed(self, texts: Sequence[str], kind: Kind) -> Vectors:
        given = [self._prompts[kind] + text for text in texts]
        return await self._run(lambda: self._model.encode(given, prompt="", show_progress_bar=False)) if given else self._empty()

    async def embed_tokens(self, batch: Sequence[Sequence[int]]) -> Vectors:
        if long := [len(tokens) for tokens in batch if len(tokens) > self._max_length]:
            raise PromptTooLong(f"the text has {long[0]} tokens; this model reads {self._max_length}")
        rows = [await self._run(partial(_forward, self._model, tokens)) for tokens in batch]
        return np.concatenate(rows) if rows else self._empty()

    async def close(self) -> None:
        await self._run.close()

    def _empty(self) -> Vectors:
        return np.zeros((0, self.identity.dimensions), np.float32)


class LibraryReranker:
    """Implements retrieval.api.Reranker."""

    def __init__(self, model: Any) -> None:
        """`model`: a CrossEncoder with one label."""
        self._model, self._run = model, _SingleThread("cross-encoder")

    async def score(self, query: str, texts: Sequence[str]) -> list[float]:
        pairs = [(query, text) for text in texts]
        logits = await self._run(lambda: self._model.predict(pairs, activation_fn=_unchanged, show_progress_bar=False)) if pairs else []
        return (0.5 + 0.5 * np.tanh(0.5 * np.asarray(logits, np.float64).reshape(-1))).tolist()

    async def close(self) -> None:
        await self._run.close()


def open_library_embedder(directory: Path, folder: ModelFolder, device: str, cause: Exception) -> LibraryEmbedder:
    """`cause`: why the engine cannot load it. Raises ValueError if the library is not installed or cannot load it either."""
    model = _open(_library(cause).SentenceTransformer, directory, device, cause)
    return LibraryEmbedder(model.eval(), folder)


def open_library_reranker(directory: Path, device: str, cause: Exception) -> LibraryReranker:
    model = _open(_library(cause).CrossEncoder, directory, device, cause)
    if model.num_labels != 1:
        raise ValueError(f"{directory.name} has {model.num_labels} labels: reranking needs a cross-encoder, which gives one score")
    return LibraryReranker(model)


def _open(kind: Any, directory: Path, device: str, cause: Exception) -> Any:
    try:
        return kind(str(directory), device=device, local_files_only=True)
    except Exception as error:  # the library raises anything for a folder that is no encoder
        raise ValueError(f"{cause}; nor can sentence-transformers read it: {error}") from error


def _library(cause: Exception) -> Any:
    try:
        import sentence_transformers
    except ImportError:
        raise ValueError(f"{cause}. The library sentence-transformers may know it: pip install 'stoa[sentence-transformers]'") from cause
    return sentence_transformers


def _normalizes(model: Any) -> bool:
    return type(list(model)[-1]).__name__ == "Normalize"


def _forward(model: Any, tokens: Sequence[int]) -> Vectors:
    """The vector of one text, as an array of one row."""
    inputs = model.tokenizer.pad({"input_ids": [list(tokens)]}, return_tensors="pt").to(model.device)
    return model(dict(inputs))["sentence_embedding"].detach().float().cpu().numpy()


def _unchanged(logits: T) -> T:
    return logits
