"""`stoa arch`: describes a model's architecture: layers, parameters, FLOPs and cache sizes."""

import json

from models.describe import CacheGroup, Description, Variant, describe
from models.families import arch_of
from server.weights.progress import progress_bar
from server.weights.pull import pull


def describe_model(model: str) -> str:
    """Raises PullError and models.hf.ConfigError (a ValueError)."""
    with progress_bar() as progress:
        directory = pull(model, progress=progress)
    config = json.loads((directory / "config.json").read_text())
    description = describe(arch_of(config))
    return "\n".join([f"{model}: {config['architectures'][0]}", *_lines(description)])


def _lines(description: Description) -> list[str]:
    full = description.flops_per_token_full / 1e9
    return [
        f"  layers      {description.layers}",
        f"  parameters  {description.parameters / 1e6:,.1f} M",
        f"  context     {description.context:,} tokens",
        f"  FLOPs       {description.flops_per_token / 1e9:,.2f} G per token, {full:,.2f} G at the context's end",
        *(_memory(description) if description.caches else ["  remembers   nothing: an encoder reads whole texts"]),
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
    return f"{cache.layers} layers: {shapes} numbers per token, " + (
        "of all tokens" if cache.reach is None else f"of the last {cache.reach:,} tokens"
    )
