"""`stoa arch`: describes architectures: layers, parameters, FLOPs, cache sizes. `stoa new-arch`: writes one out to start from."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from models.describe import CacheGroup, Description, Variant, describe
from models.families import FAMILIES, arch_of, family_of
from models.families.stoa import config_of
from server.weights.progress import progress_bar
from server.weights.pull import pull


def describe_models(models: Sequence[str]) -> str:
    """One below the other, or two side by side. Raises PullError and models.hf.ConfigError (a ValueError)."""
    described = [(model, *_read(model)) for model in models]
    texts = [[f"{model}: {name}", *_lines(description)] for model, name, description in described]
    return "\n".join(_beside(*texts)) if len(texts) == 2 else "\n\n".join("\n".join(lines) for lines in texts)


def as_json(models: Sequence[str]) -> str:
    """A list of objects: what `Description` says, with the model's name and its architecture's."""
    found = [{"model": model, "architecture": name} | asdict(description) for model, (name, description) in ((m, _read(m)) for m in models)]
    return json.dumps(found, indent=2)


def new_arch(name: str) -> str:
    """config.json that writes out a family's tiny architecture, or that of a model or folder."""
    return json.dumps(config_of(arch_of(_family(name) or _config(name))), indent=2)


def _family(name: str) -> dict[str, Any] | None:
    """The tiny configuration of a family, by the name of its data sheet."""
    found = {module.rpartition(".")[2]: architecture for architecture, module in FAMILIES.items()}
    return dict(family_of({"architectures": [found[name]]}).TINY) if name in found else None


def _read(model: str) -> tuple[str, Description]:
    config = _config(model)
    return config["architectures"][0], describe(arch_of(config))


def _config(model: str) -> dict[str, Any]:
    """A folder's or a file's config.json needs no weights beside it."""
    path = Path(model)
    file = path / "config.json" if path.is_dir() else path
    if file.suffix != ".json" or not file.is_file():
        with progress_bar() as progress:
            file = pull(model, progress=progress) / "config.json"
    found = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"{file} holds no JSON object")
    return cast(dict[str, Any], found)


def _lines(d: Description) -> list[str]:
    full, active = d.flops_per_token_full / 1e9, ""
    if d.active_parameters != d.parameters:
        active = f", {d.active_parameters / 1e6:,.1f} M of them for each token"
    return [
        f"  layers      {d.layers}",
        f"  parameters  {d.parameters / 1e6:,.1f} M{active}",
        f"  context     {d.context:,} tokens",
        f"  FLOPs       {d.flops_per_token / 1e9:,.2f} G per token, {full:,.2f} G at the context's end",
        f"  training    {d.optimal_tokens / 1e9:,.1f} G tokens are compute-optimal, {d.optimal_flops:.2g} FLOPs",
        *(_memory(d) if d.caches else ["  remembers   nothing: an encoder reads whole texts"]),
    ]


def _memory(description: Description) -> list[str]:
    own = Variant("as it is", description.bytes_per_token, description.bytes_per_context)
    return [
        "  remembers",
        *(f"    {_cache(cache)}" for cache in description.caches),
        "  KV bytes    per token      per context",
        *(f"    {v.name:<9} {v.bytes_per_token:>10,}  {v.bytes_per_context:>15,}" for v in (own, *description.variants)),
    ]


def _cache(cache: CacheGroup) -> str:
    shapes = " and ".join("×".join(map(str, shape)) for shape in cache.per_token)
    return f"{_layers(cache.layers)}: {shapes} numbers per token, " + (
        "of all tokens" if cache.reach is None else f"of the last {cache.reach:,} tokens"
    )


def _layers(numbers: Sequence[int]) -> str:
    """Their count, and where they are not all in a row, which."""
    first, last = numbers[0], numbers[-1]
    count = f"{len(numbers)} layer{'s' if len(numbers) > 1 else ''}"
    if last - first + 1 == len(numbers):
        return f"{count} ({first} to {last})" if first != last else f"{count} ({first})"
    shown = ", ".join(map(str, numbers[:6]))
    return f"{count} ({shown}{', ...' if len(numbers) > 6 else ''})"


def _beside(left: list[str], right: list[str]) -> list[str]:
    width = max(map(len, left)) + 3
    rows = max(len(left), len(right))
    columns = ([*text, *[""] * (rows - len(text))] for text in (left, right))
    return [f"{a:<{width}}{b}".rstrip() for a, b in zip(*columns, strict=True)]
