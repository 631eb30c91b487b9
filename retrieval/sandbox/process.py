"""A subprocess that does one job at a time, seen from the server."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from retrieval.sandbox.fork_server import HEAD, Job, receive_exactly
from retrieval.sandbox.limits import JobLimits

ROOT = Path(__file__).parents[2]
GRACE_SECONDS = 15.0  # seconds above a job's limit until the subprocess itself counts as stuck


def bootstrap(module: str) -> str:
    """A program that imports this copy of the package, then takes its folder off sys.path (modules there could shadow a library), and
    runs `main` of a module, which serves jobs (`fork_server.serve`)."""
    package = module.partition(".")[0]
    return f"import sys; sys.path.insert(0, sys.argv[1]); import retrieval, {package}; sys.path.pop(0); from {module} import main; main()"


class SandboxProcess:
    """Restarted when it has ended, and after `jobs` of them."""

    def __init__(self, program: str, jobs: int) -> None:
        """`program`: see `bootstrap`."""
        self._program, self._most_jobs = program, jobs
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._jobs_done = 0

    def run(self, job: Job, files: Sequence[int], limits: JobLimits) -> tuple[str, bytes]:
        """The status (see `fork_server`) and the output, which a hostile file may have written: at most two files are handed over. Raises
        OSError or EOFError where the subprocess has ended, is stuck or was killed."""
        try:
            head, output = self._exchange(job, files, limits)
        except (OSError, EOFError):
            self.kill()
            raise
        self._jobs_done += 1
        status: str = json.loads(head)["end"]
        if status != "done" or self._jobs_done >= self._most_jobs:
            self.kill()  # with everything a malicious file may have started in its process group
        return status, output

    def kill(self) -> None:
        """Kills the subprocess and the child in which it works."""
        process, channel = self._process, self._channel
        self._process = self._channel = None
        if process:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if channel:
            with suppress(OSError):
                channel.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for an answer
            channel.close()

    def _exchange(self, job: Job, files: Sequence[int], limits: JobLimits) -> tuple[bytes, bytes]:
        channel = self._channel or self._start()
        channel.settimeout(limits.seconds + GRACE_SECONDS)
        request = json.dumps({"job": job, "limits": asdict(limits)}).encode()
        socket.send_fds(channel, [HEAD.pack(len(request))], files)
        channel.sendall(request)
        return _receive_frame(channel), _receive_frame(channel)

    def _start(self) -> socket.socket:
        """-I and an empty environment keep this process's environment, which may hold secrets, from what handles files."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", self._program, str(ROOT)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"LC_ALL": "C.UTF-8"},
                start_new_session=True,
            )
        self._channel, self._jobs_done = ours, 0
        return ours


def _receive_frame(channel: socket.socket) -> bytes:
    return receive_exactly(channel, HEAD.unpack(receive_exactly(channel, HEAD.size))[0])
