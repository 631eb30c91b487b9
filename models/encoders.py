"""A folder that holds an encoder: what it is (`Arch`), and its tensors under the names that the recipes use.

Folders of sentence-transformers say in modules.json what becomes of the rows (models/sentence.py). The same weights are
published under several names: with a prefix where a head stands beside them, and with heads of their training.
"""

import json
import re
from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from models.checkpoint import open_checkpoint
from models.families import EncoderFamily, arch_of, encoder_family_of
from models.hf import ConfigError
from models.quant import Weight
from models.recipes import Copy, Recipes
from models.sentence import Sentences, read_sentences
from models.spec import Arch, Classifier, long_ropes


@dataclass(frozen=True)
class EncoderFolder:
    """`body`: where config.json and the tokenizer lie. Fill a model with
    `load(build_encoder(arch, backend, context=...), arch, recipes, tensors)`."""

    body: Path
    arch: Arch
    recipes: Recipes
    tensors: Mapping[str, Weight]


def open_encoder(directory: Path) -> EncoderFolder:
    """Raises ConfigError for what is not supported and WeightsError where there are no safetensors (both ValueError)."""
    sentences = read_sentences(directory)
    body = directory / sentences.body
    config = json.loads((body / "config.json").read_text())
    family, arch = encoder_family_of(config), arch_of(config)
    if long_ropes(arch):
        raise ConfigError("config.json: rotary angles that depend on a text's length (LongRope, DynamicNtk) are not supported in encoders")
    if sentences.output is not None:
        arch = replace(arch, output=sentences.output)
    return EncoderFolder(body, arch, _recipes(family, arch, sentences), _tensors(directory, family, arch, sentences))


def _recipes(family: EncoderFamily, arch: Arch, sentences: Sentences) -> Recipes:
    if isinstance(arch.output, Classifier):
        return _over(family.HEAD, family.WEIGHTS)
    dense = {
        f"head.layers.{i}.linear.{field}": Copy(f"{path}/linear.{field}")
        for i, path in enumerate(sentences.dense)
        for field in ("weight", "bias")
    }
    return _over(dense, family.WEIGHTS)


def _over(first: Recipes, second: Recipes) -> Recipes:
    """What is in neither by name, the second may have a rule for."""
    return cast(Recipes, ChainMap(cast(Any, first), cast(Any, second)))


def _tensors(directory: Path, family: EncoderFamily, arch: Arch, sentences: Sentences) -> Mapping[str, Weight]:
    """Of the body and of the head in use; a tensor that neither the recipes nor the family know stays, to be refused."""
    checkpoint = open_checkpoint(directory / sentences.body)
    names = {_plain(name, family.PREFIX): name for name in checkpoint}
    head = _sources(family.HEAD) if isinstance(arch.output, Classifier) else frozenset[str]()
    tensors = {name: (checkpoint, theirs) for name, theirs in names.items() if name in head or not _unused(name, family)}
    for path in sentences.dense:
        module = open_checkpoint(directory / path)
        tensors |= {f"{path}/{name}": (module, name) for name in module}
    return Tensors(tensors)


def _sources(recipes: Recipes) -> frozenset[str]:
    return frozenset(recipe.source for recipe in recipes.values() if isinstance(recipe, Copy))


_BUFFERS = re.compile(r"embeddings\.(position_ids|token_type_ids)")


def _plain(name: str, prefix: str) -> str:
    """Without the prefix; the oldest checkpoints have TensorFlow's names for a norm's weight and bias."""
    name = re.sub(r"\.gamma$", ".weight", name.removeprefix(prefix))
    return re.sub(r"\.beta$", ".bias", name)


def _unused(name: str, family: EncoderFamily) -> bool:
    return bool(_BUFFERS.fullmatch(name) or re.fullmatch(family.UNUSED, name))


class Tensors(Mapping[str, Weight]):
    """Tensors of several checkpoints under names of ours, each read when it is asked for."""

    def __init__(self, places: Mapping[str, tuple[Mapping[str, Weight], str]]) -> None:
        self._places = places

    def __getitem__(self, name: str) -> Weight:
        checkpoint, theirs = self._places[name]
        return checkpoint[theirs]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
