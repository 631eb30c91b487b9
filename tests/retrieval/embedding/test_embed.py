"""Embedders and rerankers of real folders against sentence-transformers, and what they make of texts."""

import asyncio
import gzip
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from transformers import MPNetConfig, MPNetForSequenceClassification, MPNetModel, set_seed

from engine.api import EngineStopped, PromptTooLong
from retrieval.api import Embedder, ModelIdentity, Reranker, Vectors
from retrieval.embedding.embed import EmbedOptions, EncoderEmbedder, EncoderReranker, open_embedder, open_reranker
from retrieval.embedding.sentence_transformers import LibraryEmbedder, LibraryReranker
from tests.models.encoder_world import make, tokenizer
from tests.models.test_encoders import tiny

T = TypeVar("T")
EXACT = EmbedOptions(dtype="float32", threads=1)
CRANFIELD = Path(__file__).parents[2] / "data" / "cranfield" / "corpus.jsonl.gz"
ODD = ["hi", "?", "", "what is it", "a", "AB-123", "naïve café", "日本語のテキスト", "the " * 400, "x" * 5000]


@pytest.fixture(scope="module")
def minilm() -> Path:
    """The default embedding model, pulled."""
    from server.weights.pull import pull

    return pull("minilm")


@pytest.fixture(scope="module")
def theirs(minilm: Path) -> SentenceTransformer:
    return SentenceTransformer(str(minilm), device="cpu")


def using(opened: Any, work: Callable[[Any], Awaitable[T]]) -> T:
    async def run() -> T:
        try:
            return await work(opened)
        finally:
            await opened.close()

    return asyncio.run(run())


def embed(directory: Path, options: EmbedOptions, texts: Sequence[str], kind: Any = "document") -> Vectors:
    return using(open_embedder(directory, options), lambda embedder: embedder.embed(texts, kind))


def passages(count: int) -> list[str]:
    docs = [json.loads(line) for line in gzip.decompress(CRANFIELD.read_bytes()).splitlines()[:count]]
    return [f"{doc['title']} {doc['text']}" for doc in docs]


# Bytes on AVX2 have fewer bits; it shows where nothing is averaged, in texts of a word. Elsewhere they reach 0.999 as well.
@pytest.mark.parametrize(("options", "cosine"), [(EXACT, 0.9999), (EmbedOptions(dtype="bfloat16"), 0.999), (EmbedOptions(), 0.998)])
def test_minilm_agrees_with_sentence_transformers(minilm: Path, theirs: SentenceTransformer, options: EmbedOptions, cosine: float) -> None:
    texts = [*passages(12), *ODD]
    got, want = embed(minilm, options, texts), theirs.encode(texts, normalize_embeddings=True)
    assert got.dtype == np.float32 and got.shape == want.shape
    assert (got * want).sum(1).min() > cosine
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, atol=1e-5)


def test_minilm_says_who_it_is(minilm: Path) -> None:
    async def look(embedder: EncoderEmbedder) -> None:
        identity = embedder.identity
        assert (identity.dimensions, identity.pooling, len(identity.revision)) == (384, "mean+normalize", 16)
        assert (embedder.max_tokens, embedder.vocab) == (254, 30522)
        assert embedder.tokens("[SEP] boundary-layer") == (101, 1031, 19802, 1033, 6192, 1011, 6741, 102)
        text = "Boundary-layer flows"
        assert [text[a:b] for a, b in embedder.offsets(text)] == ["Boundary", "-", "layer", "flows"]
        assert len(embedder.tokens("word " * 1000)) == 256

        assert identity.called == "mini"

    using(open_embedder(minilm, EmbedOptions(threads=1, configured_name="mini")), look)


@pytest.fixture
def tiny_folder(tmp_path: Path) -> Path:
    make(tiny("bert")).save_pretrained(tmp_path / "body")
    tokenizer().save_pretrained(tmp_path / "body")
    body = Transformer(str(tmp_path / "body"))
    prompts = {"query": "w20 w21 ", "document": "w22 "}
    model = SentenceTransformer(modules=[body, Pooling(64, "mean"), Normalize()], device="cpu", prompts=prompts)
    model.max_seq_length = 30
    model.save(str(tmp_path / "saved"))
    return tmp_path / "saved"


TEXTS = ["w7 w9 w200 w31", "w6", " ".join(f"w{5 + 7 * i % 250}" for i in range(60)), ""]


def test_prompts_of_the_folder(tiny_folder: Path) -> None:
    model = SentenceTransformer(str(tiny_folder), device="cpu")
    np.testing.assert_allclose(embed(tiny_folder, EXACT, TEXTS, "query"), model.encode_query(TEXTS), atol=1e-5)
    np.testing.assert_allclose(embed(tiny_folder, EXACT, TEXTS, "document"), model.encode_document(TEXTS), atol=1e-5)


def test_prompts_of_the_options(tiny_folder: Path) -> None:
    options = EmbedOptions(dtype="float32", query_prompt="w50 ", document_prompt="")
    model = SentenceTransformer(str(tiny_folder), device="cpu")
    np.testing.assert_allclose(embed(tiny_folder, options, TEXTS, "query"), model.encode(TEXTS, prompt="w50 "), atol=1e-5)
    np.testing.assert_allclose(embed(tiny_folder, options, TEXTS, "document"), model.encode(TEXTS, prompt=""), atol=1e-5)


def test_prompts_take_room_and_are_part_of_the_identity(tiny_folder: Path) -> None:
    async def look(embedder: EncoderEmbedder) -> None:
        assert embedder.max_tokens == 30 - 2 - 1
        assert (embedder.identity.query_prompt, embedder.identity.document_prompt) == ("w20 w21 ", "w22 ")
        assert embedder.tokens("w5", "query") == (2, 20, 21, 5, 3)
        assert embedder.tokens("w5", "document") == (2, 22, 5, 3)
        assert embedder.tokens("w5") == (2, 5, 3)

    using(open_embedder(tiny_folder, EXACT), look)


def test_tokens_of_the_caller(tiny_folder: Path) -> None:
    async def look(embedder: EncoderEmbedder) -> None:
        batch = [embedder.tokens(text, "document") for text in TEXTS]
        np.testing.assert_allclose(await embedder.embed_tokens(batch), await embedder.embed(TEXTS, "document"), atol=1e-6)
        assert (await embedder.embed([], "query")).shape == (0, 64)
        with pytest.raises(PromptTooLong, match="31 tokens; this model reads 30"):
            await embedder.embed_tokens([(5,) * 31])

    using(open_embedder(tiny_folder, EXACT), look)


def test_many_long_texts_at_once(tiny_folder: Path) -> None:
    """Tokenized beside the event loop."""
    texts = [f"w{5 + i % 200} w9 " * 40 for i in range(100)]
    got = embed(tiny_folder, EXACT, texts)
    np.testing.assert_allclose(got[[0, 99]], embed(tiny_folder, EXACT, [texts[0], texts[99]]), atol=1e-5)


def test_after_the_end(tiny_folder: Path) -> None:
    async def run() -> None:
        embedder: Embedder = open_embedder(tiny_folder, EXACT)
        await embedder.close()  # type: ignore[attr-defined]
        with pytest.raises(EngineStopped):
            await embedder.embed(["w5"], "query")

    asyncio.run(run())


def cross_encoder(directory: Path, labels: int = 1) -> Path:
    make(tiny("bert", architectures=["BertForSequenceClassification"], num_labels=labels)).save_pretrained(directory)
    tokenizer().save_pretrained(directory)
    return directory


QUERY = "w7 w9"


def test_scores_of_a_cross_encoder(tmp_path: Path) -> None:
    folder = cross_encoder(tmp_path / "cross")
    model = CrossEncoder(str(folder), device="cpu", max_length=128)
    want = model.predict([(QUERY, text) for text in TEXTS[:2]])
    long = " ".join(["w9"] * 300)

    async def look(reranker: Reranker) -> None:
        assert isinstance(reranker, EncoderReranker)
        got = await reranker.score(QUERY, [*TEXTS[:2], long, TEXTS[0]])
        np.testing.assert_allclose(got[:2], want, atol=1e-4)
        assert all(0 <= score <= 1 for score in got) and abs(got[3] - got[0]) < 1e-6
        assert await reranker.score(QUERY, []) == []

    using(open_reranker(folder, EXACT), look)


def test_each_for_its_own(tmp_path: Path, tiny_folder: Path) -> None:
    with pytest.raises(ValueError, match="cross-encoder"):
        open_embedder(cross_encoder(tmp_path / "cross"), EXACT)
    with pytest.raises(ValueError, match="embedding model"):
        open_reranker(tiny_folder, EXACT)
    with pytest.raises(ValueError, match="3 labels"):
        open_reranker(cross_encoder(tmp_path / "three", 3), EXACT)


SIZES: Any = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "vocab_size": 256,
    "num_labels": 1,
}


def mpnet(directory: Path, kind: Any) -> Path:
    """What models/ does not know."""
    set_seed(0)
    kind(MPNetConfig(**SIZES, max_position_embeddings=66)).eval().save_pretrained(directory)
    tokenizer().save_pretrained(directory)
    return directory


def test_what_ours_do_not_cover_goes_to_the_library(tmp_path: Path) -> None:
    modules = [Transformer(str(mpnet(tmp_path / "body", MPNetModel))), Pooling(32, "mean"), Normalize()]
    model = SentenceTransformer(modules=modules, device="cpu", prompts={"query": "w20 ", "document": ""})
    model.max_seq_length = 40
    model.save(str(tmp_path / "saved"))

    async def look(embedder: LibraryEmbedder) -> None:
        assert isinstance(embedder, LibraryEmbedder)
        identity: ModelIdentity = embedder.identity
        assert (identity.dimensions, identity.pooling, embedder.max_tokens, embedder.vocab) == (32, "library+normalize", 38, 256)
        np.testing.assert_allclose(await embedder.embed(TEXTS, "query"), model.encode_query(TEXTS), atol=1e-5)
        batch = [embedder.tokens(text, "query") for text in TEXTS]
        np.testing.assert_allclose(await embedder.embed_tokens(batch), await embedder.embed(TEXTS, "query"), atol=1e-5)
        assert (await embedder.embed([], "query")).shape == (0, 32)
        with pytest.raises(PromptTooLong):
            await embedder.embed_tokens([(5,) * 41])
        spelled = await embedder.embed(["w7 [SEP] w9"], "document")
        assert np.abs(spelled - await embedder.embed_tokens([(2, 7, 3, 9, 3)])).max() > 1e-3

    using(open_embedder(tmp_path / "saved", EmbedOptions()), look)


def test_a_cross_encoder_of_the_library(tmp_path: Path) -> None:
    folder = mpnet(tmp_path / "cross", MPNetForSequenceClassification)
    want = CrossEncoder(str(folder), device="cpu").predict([(QUERY, text) for text in TEXTS[:2]])

    async def look(reranker: LibraryReranker) -> None:
        assert isinstance(reranker, LibraryReranker)
        np.testing.assert_allclose(await reranker.score(QUERY, TEXTS[:2]), want, atol=1e-5)
        assert await reranker.score(QUERY, []) == []

    using(open_reranker(folder, EmbedOptions()), look)


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ValueError, match=r"MPNetModel.*pip install"):
        open_embedder(mpnet(tmp_path / "body", MPNetModel), EmbedOptions())
