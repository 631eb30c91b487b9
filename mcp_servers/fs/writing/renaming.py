"""Atomic renaming without replacement and atomic exchange of two names, where the system supports it (renameat2 on Linux,
renameatx_np on macOS)."""

import ctypes
import errno
import os
from functools import cache
from typing import Any, Literal

FLAGS = {
    "renameat2": {"free": 1, "exchange": 2},  # RENAME_NOREPLACE, RENAME_EXCHANGE
    "renameatx_np": {"free": 4, "exchange": 2},  # RENAME_EXCL, RENAME_SWAP
}
UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)  # by the system, or by this file system

How = Literal["free", "exchange"]


def rename_to_free(source: str, source_fd: int, target: str, target_fd: int) -> None:
    """Renames to a name that must not exist, relative to directory descriptors. Raises FileExistsError, OSError. Without the system
    call there is a race: a target created during the call is replaced."""
    code = _renamed("free", (source, source_fd), (target, target_fd))
    if code == 0:
        return
    if code not in UNSUPPORTED:
        raise OSError(code, os.strerror(code), target)
    try:
        os.stat(target, dir_fd=target_fd, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd)
    else:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)


def exchange(one: str, other: str, fd: int) -> bool:
    """Swaps two names in a directory. False: not supported here, nothing changed. Raises FileNotFoundError, OSError."""
    code = _renamed("exchange", (one, fd), (other, fd))
    if code and code not in UNSUPPORTED:
        raise OSError(code, os.strerror(code), other)
    return code == 0


def _renamed(how: How, source: tuple[str, int], target: tuple[str, int]) -> int:
    """Returns the error number, 0 on success."""
    function, flag = _function(how)
    if function is None:
        return errno.ENOSYS
    ctypes.set_errno(0)
    result = function(source[1], os.fsencode(source[0]), target[1], os.fsencode(target[0]), flag)
    return ctypes.get_errno() if result else 0


@cache
def _function(how: How) -> tuple[Any, int]:
    library = ctypes.CDLL(None, use_errno=True)
    for name, flags in FLAGS.items():
        if function := getattr(library, name, None):
            function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
            return function, flags[how]
    return None, 0
