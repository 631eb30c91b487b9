"""The subprocess: forks a child per job, so that no file sees another's state, and enforces the limits.

Over the channel (a Unix socket) it receives a length, a JSON request and file descriptors, and sends two frames, each with its length: a
JSON status and the child's output, unparsed."""

import ctypes
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from retrieval.sandbox.limits import JobLimits

HEAD = struct.Struct("!Q")
READ_SIZE = 1 << 20  # bytes
MAX_FILES = 2  # that a job is handed
NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000  # of unshare(2)
NO_NEW_PRIVILEGES = 38  # of prctl(2)
_OUT_OF_MEMORY = 137  # exit status of the child, as of shells whose command the system killed for memory
_SIGNAL_STATUS = {signal.SIGXCPU: "slow", signal.SIGKILL: "memory"}

Job = dict[str, Any]  # what the program has sent: JSON


@dataclass(frozen=True, slots=True)
class Work:
    prepare: Callable[[Job], None]  # imports what the job needs, once and before any input is read; may raise ImportError
    run: Callable[[Job, Sequence[int]], bytes]  # in the child: the job and its files; returns the output


def serve(work: Work) -> None:
    """Serves requests on file descriptor 0 until the other side closes the channel."""
    channel = socket.socket(fileno=os.dup(0))
    _isolate_network()
    while True:
        head, files, _, _ = socket.recv_fds(channel, HEAD.size, MAX_FILES)
        if not head:
            return
        try:
            request = json.loads(receive_exactly(channel, HEAD.unpack(head)[0]))
        except EOFError:
            return
        status, output = _run(channel, work, request["job"], files, JobLimits(**request["limits"]))
        reply = json.dumps({"end": status}).encode()
        channel.sendall(HEAD.pack(len(reply)) + reply + HEAD.pack(len(output)) + output)


def _isolate_network() -> None:
    """Where the system allows it, cuts off the network, so that a compromised child cannot communicate. It needs none."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.unshare(NEW_NETWORK if os.geteuid() == 0 else NEW_USER | NEW_NETWORK)
        libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)


def receive_exactly(channel: socket.socket, count: int) -> bytes:
    """Raises EOFError if the channel closes first."""
    parts = bytearray()
    while len(parts) < count:
        part = channel.recv(min(count - len(parts), READ_SIZE))
        if not part:
            raise EOFError("the other side closed the channel")
        parts += part
    return bytes(parts)


def _run(channel: socket.socket, work: Work, job: Job, files: Sequence[int], limits: JobLimits) -> tuple[str, bytes]:
    """Returns the status (done, slow, memory, crash, large, gone, broken) and the child's output."""
    try:
        work.prepare(job)
    except ImportError:
        _close(files)
        return "broken", b""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        channel.close()
        _child(work, job, files, write_end, limits)
    _close((write_end, *files))
    status, output = _collect(channel, read_end, limits)
    if status != "done":
        os.kill(child, signal.SIGKILL)
    os.close(read_end)
    exit_status = os.waitpid(child, 0)[1]
    if status == "done" and exit_status:
        killed = os.WIFSIGNALED(exit_status)
        status = _SIGNAL_STATUS.get(signal.Signals(os.WTERMSIG(exit_status)), "crash") if killed else _status(exit_status)
    return status, output if status == "done" else b""


def _status(exit_status: int) -> str:
    return "memory" if os.WEXITSTATUS(exit_status) == _OUT_OF_MEMORY else "crash"


def _close(files: Sequence[int]) -> None:
    for file in files:
        os.close(file)


def _collect(channel: socket.socket, read_end: int, limits: JobLimits) -> tuple[str, bytes]:
    """Reads the child's output to its end, or until a limit is exceeded or the other side closes the channel."""
    deadline, output = time.monotonic() + limits.seconds, bytearray()
    while True:
        ready, _, _ = select.select([read_end, channel], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            return "slow", b""
        if channel in ready:  # the other side sends nothing during a job, so it has closed the channel
            return "gone", b""
        part = os.read(read_end, READ_SIZE)
        output += part
        if not part:
            return "done", bytes(output)
        if len(output) > limits.output_bytes:
            return "large", b""


def _child(work: Work, job: Job, files: Sequence[int], write_end: int, limits: JobLimits) -> None:
    """Does the job and writes the result. Never returns."""
    try:
        _set_resource_limits(limits)
        with os.fdopen(write_end, "wb") as output:
            output.write(work.run(job, files))
        os._exit(0)
    except MemoryError:  # also where there was too little to say so
        os._exit(_OUT_OF_MEMORY)
    except BaseException:
        os._exit(1)


def _set_resource_limits(limits: JobLimits) -> None:
    seconds = max(int(limits.seconds), 1)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))  # SIGXCPU comes first; SIGKILL would be reported as out of memory
    for what, limit in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.written_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        resource.setrlimit(what, (limit, limit))
