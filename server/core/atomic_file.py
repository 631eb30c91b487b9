"""Files that are replaced as a whole: after a crash there is the old one or the new one."""

import os
from pathlib import Path
from tempfile import NamedTemporaryFile


def replace_file(path: Path, data: bytes, mode: int = 0o600) -> None:
    """On the disk once it returns; its directory must exist. Raises OSError, and then nothing has changed."""
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp", delete=False) as file:
        pass
    new = Path(file.name)
    try:
        _write_and_sync(new, data, mode)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def _write_and_sync(path: Path, data: bytes, mode: int) -> None:
    path.chmod(mode)
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(folder: Path) -> None:
    """The names in it are durable, too. Windows has no such thing."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
