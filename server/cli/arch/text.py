"""How `stoa arch` prints what models/describe counts."""

from collections.abc import Mapping, Sequence

from models.describe import CacheGroup, Description, Variant, View

MODEL_WIDTH = 28


def lines(d: Description) -> list[str]:
    """One model."""
    full, active = d.flops_per_token_full / 1e9, ""
    if d.active_parameters != d.parameters:
        active = f", {d.active_parameters / 1e6:,.1f} M of them for each token"
    return [
        f"  layers      {d.layers}",
        f"  parameters  {d.parameters / 1e6:,.1f} M{active}",
        f"  context     {d.context:,} tokens",
        f"  FLOPs       {d.flops_per_token / 1e9:,.2f} G per token, {full:,.2f} G at the context's end",
        f"  training    {d.optimal_tokens / 1e9:,.1f} G tokens are compute-optimal, {d.optimal_flops:.2g} FLOPs",
        *([] if d.encoder is None else [_encoder(d.encoder)]),
        "  looks at",
        *(f"    {_view(view)}" for view in d.views),
        *(_memory(d) if d.bytes_per_context else ["  remembers   nothing: an encoder reads whole texts"]),
    ]


def _encoder(d: Description) -> str:
    return f"  encoder     {d.layers} layers, {d.parameters / 1e6:,.1f} M parameters with its embedding, inputs of {d.context:,} tokens"


def _view(view: View) -> str:
    back = "all tokens before" if view.reach is None else f"{view.reach:,} tokens back"
    ahead = "" if view.ahead == 0 else " and all behind" if view.ahead is None else f" and {view.ahead:,} ahead"
    return f"{_numbered(view.layers)}: {back}{ahead}; {view.keys:,} keys read at the context's end"


def _memory(description: Description) -> list[str]:
    own = Variant("as it is", description.bytes_per_token, description.bytes_per_context)
    variants = (own, *description.variants) if description.caches else ()
    return [
        "  remembers",
        *([f"    states, however long the text: {description.bytes_per_sequence:,} bytes"] if description.bytes_per_sequence else []),
        *(f"    {_cache(cache)}" for cache in description.caches),
        *(["  KV bytes    per token      per context"] if description.caches else []),
        *(f"    {v.name:<9} {v.bytes_per_token:>10,}  {v.bytes_per_context:>15,}" for v in variants),
    ]


def _cache(cache: CacheGroup) -> str:
    shapes = " and ".join("×".join(map(str, shape)) for shape in cache.per_token)
    return f"{_numbered(cache.layers)}: {shapes} numbers per token, " + (
        "of the encoder's input"
        if cache.of == "encoder"
        else "of all tokens"
        if cache.reach is None
        else f"of the last {cache.reach:,} tokens"
    )


def _numbered(numbers: Sequence[int]) -> str:
    """Their count, and where they are not all in a row, which."""
    first, last = numbers[0], numbers[-1]
    count = f"{len(numbers)} layer{'s' if len(numbers) > 1 else ''}"
    if last - first + 1 == len(numbers):
        return f"{count} ({first} to {last})" if first != last else f"{count} ({first})"
    shown = ", ".join(map(str, numbers[:6]))
    return f"{count} ({shown}{', ...' if len(numbers) > 6 else ''})"


def compared(models: Mapping[str, tuple[str, Description]]) -> list[str]:
    """By the name that was asked for: the architecture's, and what it is. A column each, a row a measure."""
    names = [f"…{model[1 - MODEL_WIDTH :]}" if len(model) > MODEL_WIDTH else model for model in models]
    columns = {name: _measures(*found) for name, found in zip(names, models.values(), strict=True)}
    rows = list(dict.fromkeys(row for column in columns.values() for row in column))
    cells = [["", *names], *([row, *(column.get(row, "-") for column in columns.values())] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def _measures(architecture: str, d: Description) -> dict[str, str]:
    return {
        "architecture": architecture,
        "layers": str(d.layers),
        "parameters": f"{d.parameters / 1e6:,.1f} M",
        "  for each token": f"{d.active_parameters / 1e6:,.1f} M",
        **({} if d.encoder is None else {"encoder": f"{d.encoder.layers} layers, {d.encoder.context:,} tokens"}),
        "context": f"{d.context:,} tokens",
        "FLOPs per token": f"{d.flops_per_token / 1e9:,.2f} G",
        "  at the context's end": f"{d.flops_per_token_full / 1e9:,.2f} G",
        "compute-optimal training": f"{d.optimal_tokens / 1e9:,.1f} G tokens",
        "  FLOPs of it": f"{d.optimal_flops:.2g}",
        **_reaches(d.caches, d.bytes_per_sequence > 0),
        "keys read at the context's end": ", ".join(f"{len(view.layers)} × {view.keys:,}" for view in d.views),
        "state bytes": f"{d.bytes_per_sequence:,}",
        "KV bytes per token": f"{d.bytes_per_token:,}",
        "  per context": f"{d.bytes_per_context:,}",
        **{f"  per token as {variant.name}": f"{variant.bytes_per_token:,}" for variant in d.variants},
    }


def _reaches(caches: Sequence[CacheGroup], states: bool) -> dict[str, str]:
    """How far back layers look: counts of layers, the shortest reach first."""
    counts: dict[int | None, int] = {}
    for cache in caches:
        counts[cache.reach] = counts.get(cache.reach, 0) + len(cache.layers)
    ordered = sorted(counts.items(), key=lambda found: (found[0] is None, found[0] or 0))
    said = [f"{count} of {'all' if reach is None else f'{reach:,}'}" for reach, count in ordered]
    said += ["others through a state" if said else "all through a state"] if states else []
    return {"layers that see tokens": ", ".join(said) or "nothing is remembered"}
