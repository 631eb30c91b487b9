"""The folder layout of sentence-transformers: modules.json lists what a text goes through (Transformer, Pooling, Dense,
Normalize), each module has a config.json in a folder of its own. Prompts and lengths are the text side's business."""

import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from models.hf import Config, ConfigError
from models.spec import Activation, Dense, Pooled, Pooling


@dataclass(frozen=True)
class Sentences:
    """`body`: folder of the transformer, "" for the top one. `output`: None where the folder does not say. `dense`:
    folders of the layers in `output`."""

    body: str = ""
    output: Pooled | None = None
    dense: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Module:
    kind: str
    path: str


def read_sentences(directory: Path) -> Sentences:
    """Raises ConfigError for modules, and orders of them, that are not supported."""
    if not (directory / "modules.json").exists():
        return Sentences()
    modules = [_module(item) for item in json.loads((directory / "modules.json").read_text())]
    kinds = ", ".join(m.kind for m in modules)
    if kinds == "Transformer":  # of a cross-encoder
        return Sentences(modules[0].path)
    if re.fullmatch("Transformer, Pooling(, Dense)*(, Normalize)?", kinds):
        return _sentences(directory, modules)
    raise ConfigError(f"modules.json: {kinds} is not supported, only Transformer, Pooling, any number of Dense, Normalize")


def _sentences(directory: Path, modules: list[_Module]) -> Sentences:
    dense = tuple(m.path for m in modules if m.kind == "Dense")
    output = Pooled(
        pooling=_pooling(_config(directory, modules[1].path)),
        layers=tuple(_dense(_config(directory, path)) for path in dense),
        normalize=any(_normalize(_config(directory, m.path)) for m in modules if m.kind == "Normalize"),
    )
    return Sentences(modules[0].path, output, dense)


def _module(item: dict[str, Any]) -> _Module:
    config = Config(item, "modules.json")
    kind, path = config.text("type"), config.text("path")
    config.ignore("idx", "name", "kwargs")
    config.finish()
    if not kind.startswith("sentence_transformers."):
        raise ConfigError(f"modules.json: {kind} is code of its own, which is not run")
    if len(PurePosixPath(path).parts) > 1 or path == "..":
        raise ConfigError(f"modules.json: the path {path!r} is not a folder beside it")
    return _Module(kind.rpartition(".")[2], path)


def _config(directory: Path, path: str) -> Config:
    """Of a module. Normalize may have none."""
    file, where = directory / path / "config.json", f"{path}/config.json"
    return Config(json.loads(file.read_text()) if file.exists() else {}, where)


POOLINGS: dict[str, Pooling] = {
    "cls": "cls",
    "max": "max",
    "mean": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt_len",
    "weightedmean": "weighted_mean",
    "lasttoken": "last",
}
_FLAGS: dict[str, Pooling] = {  # in the order in which sentence-transformers puts them beside one another
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
    "pooling_mode_weightedmean_tokens": "weighted_mean",
    "pooling_mode_lasttoken": "last",
}


def _pooling(config: Config) -> tuple[Pooling, ...]:
    config.ignore("embedding_dimension", "word_embedding_dimension")
    config.only("include_prompt", True)
    older: tuple[Pooling, ...] = tuple(kind for flag, kind in _FLAGS.items() if config.flag(flag, False))
    given = config.values.get("pooling_mode")
    names = (given,) if isinstance(given, str) else config.items("pooling_mode", str) or ()
    config.ignore("pooling_mode")
    config.finish()
    unknown = [name for name in names if name not in POOLINGS]
    if unknown:
        raise ConfigError(f"{config.where}: pooling_mode = {unknown[0]!r} is not supported, only {', '.join(POOLINGS)}")
    kinds: tuple[Pooling, ...] = tuple(POOLINGS[name] for name in names)
    return kinds or older or ("mean",)


ACTIVATIONS: dict[str, Activation | None] = {
    "torch.nn.modules.linear.Identity": None,
    "torch.nn.modules.activation.Tanh": "tanh",
    "torch.nn.modules.activation.ReLU": "relu",
    "torch.nn.modules.activation.GELU": "gelu",
    "torch.nn.modules.activation.SiLU": "silu",
}


def _dense(config: Config) -> Dense:
    config.ignore("in_features")  # the weight's shape says it
    config.only("use_residual", False)
    config.only("module_input_name", "sentence_embedding")
    config.only("module_output_name", "sentence_embedding")
    config.only("activation_function", "torch.nn.modules.activation.Tanh", *ACTIVATIONS)
    activation = ACTIVATIONS[config.text("activation_function", "torch.nn.modules.activation.Tanh")]
    dense = Dense(width=config.integer("out_features"), bias=config.flag("bias", True), activation=activation)
    config.finish()
    return dense


def _normalize(config: Config) -> bool:
    config.only("module_input_name", "sentence_embedding")
    config.only("module_output_name", "sentence_embedding")
    config.finish()
    return True
