"""Ends vLLM's processes when the server has died without ending them: they would keep the GPU's memory for ever.

A process of its own, run as a script. It waits until its standard input ends, which the server holds open, then kills whoever has the
server's mark in the environment that it was started with.
"""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

NAME = "STOA_VLLM_MARK"  # of the variable


class Reaper:
    """Waits from here on. The processes that are started meanwhile have the mark."""

    def __init__(self) -> None:
        mark = os.environ[NAME] = secrets.token_hex(16)
        self._process = subprocess.Popen([sys.executable, "-I", __file__, mark], stdin=subprocess.PIPE, start_new_session=True)

    def dismiss(self) -> None:
        """vLLM has ended its processes."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


def _marked(mark: str) -> Iterator[int]:
    wanted = f"{NAME}={mark}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int(folder.name) != os.getpid() and wanted in (folder / "environ").read_bytes().split(b"\0"):
                yield int(folder.name)
        except OSError:
            pass  # it has ended, or is somebody else's


def _main(mark: str) -> None:
    sys.stdin.buffer.read()
    for process in list(_marked(mark)):
        os.kill(process, signal.SIGKILL)


if __name__ == "__main__":
    _main(sys.argv[1])
