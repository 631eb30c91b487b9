"""How the settings open the knowledge base."""

from pathlib import Path
from typing import Any

import pytest

from retrieval.embedding.embed import EmbedOptions
from server.runtime.knowledge_base import open_knowledge_base
from server.runtime.settings import Settings
from tests.server.fake_knowledge import WordEmbedder


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[EmbedOptions]:
    """With what the embedding model was opened."""
    options: list[EmbedOptions] = []

    def opened(_: Path, given: EmbedOptions) -> WordEmbedder:
        options.append(given)
        return WordEmbedder()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("server.weights.pull.pull", lambda *_, **__: tmp_path)
    monkeypatch.setattr("retrieval.embedding.embed.open_embedder", opened)
    return options


def test_prompts_come_from_the_settings(seen: list[EmbedOptions], monkeypatch: pytest.MonkeyPatch) -> None:
    store: Any = object()
    monkeypatch.setenv("STOA_DOCUMENT_PROMPT", "passage: ")
    open_knowledge_base(Settings(query_prompt="query: "), store=store)
    assert (seen[0].query_prompt, seen[0].document_prompt) == ("query: ", "passage: ")


def test_without_them_the_folder_says_and_empty_ones_are_none_at_all(seen: list[EmbedOptions]) -> None:
    store: Any = object()
    open_knowledge_base(Settings(), store=store)
    open_knowledge_base(Settings(query_prompt=""), store=store)
    assert [(one.query_prompt, one.document_prompt) for one in seen] == [(None, None), ("", None)]


def test_a_model_is_called_as_the_operator_does_without_the_path(seen: list[EmbedOptions], tmp_path: Path) -> None:
    store: Any = object()
    (tmp_path / "deep" / "e5").mkdir(parents=True)
    for name in ("minilm", "org/e5-small", str(tmp_path / "deep" / "e5"), "deep/e5"):
        open_knowledge_base(Settings(embedding_model=name), store=store)
    assert [one.configured_name for one in seen] == ["minilm", "org/e5-small", "e5", "e5"]
