"""Weights as the kernels read them, kept on disk: the next start maps them instead of making them out of the checkpoint again.

A file's name says which model's folder it is of and how that was loaded; the key in it stands for all that its content hangs on: the
checkpoint's files as the file system knows them, the architecture, and the code that made it."""

import hashlib
import logging
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from engine.embedded.kernels.packing import Packed
from engine.embedded.native.tensor_file import DamagedFile, facts_of, read, write
from models.spec import Arch
from models.weights import targets

LOG = logging.getLogger("stoa")
WEIGHTS = ("*.gguf", "*.safetensors", "*.bin", "*.json")
ROOT = Path(__file__).parents[3]
CODE = ("models", "engine/embedded/native", "engine/embedded/kernels", "engine/embedded/on_torch")
SMALLEST = 32 << 20  # bytes of a model that is worth a file
ABANDONED = 3600  # seconds after which what is half written is nobody's any more


@runtime_checkable
class Keeps(Protocol):
    """A leaf (models.batch.Leaf) that may get back what it made of its weights."""

    def packed(self, field: str) -> Packed | Tensor: ...

    def restore(self, field: str, value: Packed | Tensor) -> None: ...


@dataclass(frozen=True)
class Kept:
    """The file of one model's folder, loaded in one way."""

    folder: Path
    directory: Path  # of the checkpoint
    name: str
    key: str

    @property
    def path(self) -> Path:
        return self.folder / f"{self.name}.packed"

    def restore(self, model: nn.Module) -> bool:
        """Fills `model`. False: there is nothing that fits, and the model is as it was."""
        try:
            tensors, facts = read(self.path)
        except FileNotFoundError:
            return False
        except (OSError, DamagedFile) as error:
            LOG.warning("%s; weights are read from the checkpoint", error)
            return False
        if facts["key"] != self.key or set(facts["fields"]) != {name for name, _, _ in targets(model)}:
            return False
        _fill(model, tensors, facts["fields"])
        return True

    def save(self, model: nn.Module) -> None:
        """Where the disk has room. A file that cannot be written costs the next start time, and nothing else."""
        tensors, fields = contents(model)
        if (size := sum(tensor.nbytes for tensor in tensors.values())) < SMALLEST:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _remove_useless(self.folder)
            if shutil.disk_usage(self.folder).free < 2 * size:
                LOG.info("%s has too little room for packed weights: each start makes them anew", self.folder)
                return
            write(self.path, tensors, {"key": self.key, "directory": str(self.directory), "fields": fields})
        except OSError as error:
            LOG.info("packed weights cannot be kept: %s; each start makes them anew", error)


def kept(folder: Path, directory: Path, arch: Arch, options: object) -> Kept:
    """`folder`: of all such files. `options`: what changes how a checkpoint is packed."""
    name = f"{directory.name[:80]}-{_digest([str(directory.resolve()), repr(options)])[:16]}"
    return Kept(folder, directory.resolve(), name, _digest([repr(arch), _code(), *_identities(directory)]))


def can_keep(model: nn.Module) -> bool:
    """Whether all its leaves do."""
    return all(isinstance(module, Keeps) for module in model.modules() if hasattr(module, "assign"))


def contents(model: nn.Module) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Of a filled model: tensors by name, and of each field what else it takes to make it of them."""
    tensors, fields, modules = dict[str, Tensor](), dict[str, Any](), dict(model.named_modules())
    for name, _, _ in targets(model):
        value = _value(modules, name)
        if isinstance(value, Packed):
            tensors[f"{name}:data"] = value.data
            if value.scales is not None:
                tensors[f"{name}:scales"] = value.scales
            fields[name] = [value.format, value.inputs, value.outputs]
        else:
            tensors[name], fields[name] = value, None
    return tensors, fields


def _value(modules: dict[str, nn.Module], target: str) -> Packed | Tensor:
    owner, _, field = target.rpartition(".")
    module = modules[owner]
    return module.packed(field) if isinstance(module, Keeps) else module.get_parameter(field).data


def _fill(model: nn.Module, tensors: dict[str, Tensor], fields: dict[str, Any]) -> None:
    modules = dict(model.named_modules())
    for name, numbers in fields.items():
        owner, _, field = name.rpartition(".")
        module = modules[owner]
        if not isinstance(module, Keeps):
            module.get_parameter(field).data.copy_(tensors[name])
        elif numbers is None:
            module.restore(field, tensors[name])
        else:
            format, inputs, outputs = numbers
            module.restore(field, Packed(format, inputs, outputs, tensors[f"{name}:data"], tensors.get(f"{name}:scales")))


def _identities(directory: Path) -> Iterable[str]:
    """Of the files that a checkpoint is made of, wherever links lead to: any change of one changes its ctime."""
    files = {file.resolve() for pattern in WEIGHTS for file in directory.glob(pattern)}
    for file in sorted(files):
        status = file.stat()
        yield f"{file} {status.st_size} {status.st_ino} {status.st_mtime_ns} {status.st_ctime_ns}"


@cache
def _code() -> str:
    """Of what makes packed weights out of a checkpoint."""
    files = sorted(file for folder in CODE for file in (ROOT / folder).rglob("*.py"))
    return _digest([part for file in files for part in (str(file.relative_to(ROOT)), file.read_bytes())])


def _digest(parts: Iterable[str | bytes]) -> str:
    total = hashlib.sha256()
    for part in parts:
        encoded = part.encode() if isinstance(part, str) else part
        total.update(len(encoded).to_bytes(8, "little") + encoded)
    return total.hexdigest()


def _remove_useless(folder: Path) -> None:
    """What a killed process has left, and weights whose checkpoint is gone."""
    for part in folder.glob("*.part"):
        if part.stat().st_mtime < time.time() - ABANDONED:
            part.unlink(missing_ok=True)
    for file in folder.glob("*.packed"):
        try:
            gone = not Path(facts_of(file)["directory"]).exists()
        except DamagedFile:
            gone = True
        except FileNotFoundError:  # another server was first
            continue
        if gone:
            file.unlink(missing_ok=True)
