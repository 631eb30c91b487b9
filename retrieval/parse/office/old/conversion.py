"""Converts files of Office's old formats by LibreOffice, where it is installed. Runs in the server process, LibreOffice in one of its own:
without network, with limits, a profile of its own, and killed with all that it has started."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import IO

from retrieval.api import Unreadable
from retrieval.parse.limits import MIB, Limits

PROGRAMS = ("soffice", "libreoffice")
OLD_FORMAT = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # first bytes: nothing else is given to LibreOffice
ADDRESS_SPACE = 4096 * MIB  # LibreOffice reserves far more than it uses
LAUNCH = """
import ctypes, os, resource, sys
memory, seconds, size = map(int, sys.argv[1:4])
if sys.platform == "linux":
    libc = ctypes.CDLL(None)
    libc.unshare(0x40000000 if os.geteuid() == 0 else 0x50000000)  # network, and where needed user namespace
    libc.prctl(38, 1, 0, 0, 0)  # no new privileges
for what, limit in (("AS", memory), ("CPU", seconds), ("FSIZE", size), ("CORE", 0)):
    resource.setrlimit(getattr(resource, "RLIMIT_" + what), (limit, limit))
os.execv(sys.argv[4], sys.argv[4:])
"""


def program() -> str | None:
    """Path of LibreOffice. None: it is not installed."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Conversion:
    """Of one file. A context manager that removes what it has written; `kill` may be called from another thread."""

    def __init__(self, source: IO[bytes], ending: str, limits: Limits) -> None:
        """`ending`: of the format to convert into, without a dot."""
        self._source, self._ending, self._limits = source, ending, limits
        self._folder = tempfile.TemporaryDirectory(prefix="stoa-convert-")
        self._lock, self._killed = Lock(), False
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Conversion":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._folder.cleanup()

    def run(self, soffice: str) -> IO[bytes]:
        """The converted file, opened. Raises Unreadable."""
        folder = Path(self._folder.name)
        original = folder / "original"  # LibreOffice tells the format from the content
        self._source.seek(0)
        with original.open("wb") as copy:
            shutil.copyfileobj(self._source, copy)
        self._start(soffice, folder, original)
        self._wait()
        converted = folder / "out" / f"original.{self._ending}"
        if not converted.is_file() or converted.is_symlink():
            raise Unreadable("LibreOffice cannot read the file: it is damaged or protected with a password")
        if converted.stat().st_size > self._limits.file_bytes:
            raise Unreadable(f"the file is converted to more than {self._limits.file_bytes // MIB} MiB")
        return converted.open("rb")

    def kill(self) -> None:
        with self._lock:
            self._killed = True
            if self._process:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()

    def _start(self, soffice: str, folder: Path, original: Path) -> None:
        limits = map(str, (ADDRESS_SPACE, max(int(self._limits.seconds), 1), self._limits.file_bytes))
        with self._lock:
            if self._killed:
                raise Unreadable("cancelled", "server_error")
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-c", LAUNCH, *limits, soffice, f"-env:UserInstallation=file://{folder}/profile"),
                    *(
                        "--headless",
                        "--norestore",
                        "--nolockcheck",
                        "--convert-to",
                        self._ending,
                        "--outdir",
                        f"{folder}/out",
                        str(original),
                    ),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                env={"HOME": str(folder), "LC_ALL": "C.UTF-8", "PATH": os.defpath},
                start_new_session=True,
            )

    def _wait(self) -> None:
        assert self._process is not None
        try:
            self._process.wait(self._limits.seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Unreadable(f"converting the file takes longer than {self._limits.seconds:g} seconds") from None
