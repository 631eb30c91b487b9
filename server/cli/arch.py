"""`stoa arch`: an architecture in words and numbers."""

import json

from models.describe import CacheGroup, Description, Variant, describe
from models.families import arch_of
from server.weights.cache import bar
from server.weights.pull import pull


def report(model: str) -> str:
    """Raises PullError and models.hf.ConfigError (a ValueError)."""
    with bar() as progress:
        directory = pull(model, progress=progress)
    config = json.loads((directory / "config.json").read_text())
    found = describe(arch_of(config))
    return "\n".join([f"{model}: {config['architectures'][0]}", *_lines(found)])


def _lines(found: Description) -> list[str]:
    return [
        f"  layers      {found.layers}",
        f"  parameters  {found.parameters / 1e6:,.1f} M",
        f"  context     {found.context:,} tokens",
        f"  FLOPs       {found.flops_per_token / 1e9:,.2f} G per token, {found.flops_per_token_full / 1e9:,.2f} G at the context's end",
        *(_memory(found) if found.caches else ["  remembers   nothing: an encoder reads whole texts"]),
    ]


def _memory(found: Description) -> list[str]:
    own = Variant("as it is", found.bytes_per_token, found.bytes_per_context)
    return [
        "  remembers",
        *(f"    {_cache(cache)}" for cache in found.caches),
        "  KV bytes    per token      per context",
        *(f"    {v.name:<9} {v.bytes_per_token:>10,}  {v.bytes_per_context:>15,}" for v in (own, *found.variants)),
    ]


def _cache(cache: CacheGroup) -> str:
    shapes = " and ".join("×".join(map(str, shape)) for shape in cache.per_token)
    return f"{cache.layers} layers: {shapes} numbers per token, " + (
        "of all tokens" if cache.reach is None else f"of the last {cache.reach:,} tokens"
    )
