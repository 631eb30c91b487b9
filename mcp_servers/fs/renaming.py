"""Renaming onto a name that must be free, in one step where the system has one (renameat2 of Linux, renameatx_np of macOS)."""

import ctypes
import errno
import os
from functools import cache
from typing import Any

NOREPLACE = 1  # RENAME_NOREPLACE
EXCL = 4  # RENAME_EXCL
UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


def rename_to_free(source: str, source_fd: int, target: str, target_fd: int) -> None:
    """Names in opened directories. Raises FileExistsError, and OSError. Without a system call for it, a file that is made of that
    name in the very moment of the renaming is replaced."""
    code = _exclusively(source, source_fd, target, target_fd)
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


def _exclusively(source: str, source_fd: int, target: str, target_fd: int) -> int:
    """The error number."""
    function, flag = _function()
    if function is None:
        return errno.ENOSYS
    ctypes.set_errno(0)
    result = function(source_fd, os.fsencode(source), target_fd, os.fsencode(target), flag)
    return ctypes.get_errno() if result else 0


@cache
def _function() -> tuple[Any, int]:
    library = ctypes.CDLL(None, use_errno=True)
    for name, flag in (("renameat2", NOREPLACE), ("renameatx_np", EXCL)):
        if function := getattr(library, name, None):
            function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
            return function, flag
    return None, 0
