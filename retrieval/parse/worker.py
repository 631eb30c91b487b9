"""The parser subprocess: forks a child per file, so that no file sees another's state, and enforces the limits.

Over the channel (a Unix socket) it receives a length, a JSON request and a file descriptor, and sends two frames, each with its length: a
JSON status and the child's output, unparsed."""

import ctypes
import importlib
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from pathlib import PurePosixPath

from retrieval.parse.dispatch import read
from retrieval.parse.formats import FORMATS, KIND_BY_EXTENSION
from retrieval.parse.limits import Limits, ParseError

HEAD = struct.Struct("!Q")
READ_SIZE = 1 << 20  # bytes
RECURSION_LIMIT = 20_000  # frames: HTML may be nested 2,000 deep
NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000  # of unshare(2)
NO_NEW_PRIVILEGES = 38  # of prctl(2)
_SIGNAL_STATUS = {signal.SIGXCPU: "slow", signal.SIGKILL: "memory"}


def main() -> None:
    """Serves requests on file descriptor 0 until the other side closes the channel."""
    channel = socket.socket(fileno=os.dup(0))
    _isolate_network()
    while True:
        head, files, _, _ = socket.recv_fds(channel, HEAD.size, 1)
        if not head:
            return
        try:
            request = json.loads(receive_exactly(channel, HEAD.unpack(head)[0]))
        except EOFError:
            return
        status, output = _parse(channel, files[0], request["filename"], Limits(**request["limits"]))
        reply = json.dumps({"end": status}).encode()
        channel.sendall(HEAD.pack(len(reply)) + reply + HEAD.pack(len(output)) + output)


def _isolate_network() -> None:
    """Where the system allows it, cuts off the network, so that a compromised parser cannot communicate. It needs none."""
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


def _parse(channel: socket.socket, file: int, filename: str, limits: Limits) -> tuple[str, bytes]:
    """Returns the status (done, slow, memory, crash, large, gone, broken) and the child's output."""
    try:
        _preload_parser(filename)
    except ImportError:
        os.close(file)
        return "broken", b""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        channel.close()
        _child(file, write_end, filename, limits)
    os.close(write_end)
    os.close(file)
    status, output = _collect(channel, read_end, limits)
    if status != "done":
        os.kill(child, signal.SIGKILL)
    os.close(read_end)
    exit_status = os.waitpid(child, 0)[1]
    if status == "done" and exit_status:
        killed = os.WIFSIGNALED(exit_status)
        status = _SIGNAL_STATUS.get(signal.Signals(os.WTERMSIG(exit_status)), "crash") if killed else "crash"
    return status, output if status == "done" else b""


def _preload_parser(filename: str) -> None:
    """Imports the parser for the file's extension before forking, so that it is imported once and before any input is read."""
    if kind := KIND_BY_EXTENSION.get(PurePosixPath(filename).suffix.lower()):
        importlib.import_module(FORMATS[kind].parser_module)


def _collect(channel: socket.socket, read_end: int, limits: Limits) -> tuple[str, bytes]:
    """Reads the child's output to its end, or until a limit is exceeded or the other side closes the channel."""
    deadline, output = time.monotonic() + limits.seconds, bytearray()
    limit = 12 * limits.characters + 64 * READ_SIZE
    while True:
        ready, _, _ = select.select([read_end, channel], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            return "slow", b""
        if channel in ready:  # the other side sends nothing during parsing, so it has closed the channel
            return "gone", b""
        part = os.read(read_end, READ_SIZE)
        output += part
        if not part:
            return "done", bytes(output)
        if len(output) > limit:
            return "large", b""


def _child(file: int, write_end: int, filename: str, limits: Limits) -> None:
    """Parses and writes the result. Never returns."""
    try:
        _set_resource_limits(limits)
        with os.fdopen(write_end, "wb") as output:
            output.write(json.dumps(_result(file, filename, limits)).encode())
        os._exit(0)
    except BaseException:
        os._exit(1)


def _set_resource_limits(limits: Limits) -> None:
    seconds = max(int(limits.seconds), 1)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))  # SIGXCPU comes first; SIGKILL would be reported as out of memory
    for what, limit in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, 0),  # it writes only to its pipe
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        resource.setrlimit(what, (limit, limit))
    sys.setrecursionlimit(RECURSION_LIMIT)


def _result(file: int, filename: str, limits: Limits) -> dict[str, object]:
    try:
        with os.fdopen(file, "rb") as source:
            return read(source, filename, limits)
    except ParseError as error:
        return {"refused": str(error), "code": error.code, "convert_to": error.convert_to}
    except MemoryError:
        return {"refused": f"reading the file takes more than {limits.memory_bytes >> 20} MiB of memory", "code": "invalid_file"}
