"""One property after the other: does ours fit theirs? What goes in (`asked`) must take all that theirs takes; what comes out must
be nothing but what theirs may be, with all that theirs always has."""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.api_conformance.shape import Shape


@dataclass(frozen=True)
class Verdict:
    path: str
    problem: str | None  # None: it fits


def compared(theirs: Shape, ours: Shape | None, path: str, *, asked: bool) -> Iterator[Verdict]:
    """Of all that lies below `theirs`. An optional property of an answer that we do not have counts as missing, too."""
    ours = _facing(theirs, ours)
    for name, child in sorted(theirs.properties.items()):
        mine = ours.properties.get(name) if ours else None
        yield from _one(child, mine, f"{path}.{name}" if path else name, _missing(theirs, ours, name, asked), asked=asked)
    if theirs.items is not None:
        yield from compared(theirs.items, ours.items if ours else None, f"{path}[]", asked=asked)
    for name, variant in sorted(theirs.variants.items()):
        if ours and (mine := ours.variants.get(name) or _as_variant(ours, name)):
            yield from compared(variant, mine, f"{path}<{name}>", asked=asked)


def _one(theirs: Shape, ours: Shape | None, path: str, missing: str | None, *, asked: bool) -> Iterator[Verdict]:
    if ours is not None and ours.free and not ours.properties and not theirs.variants:
        yield Verdict(path, None)  # it takes anything
        return
    yield Verdict(path, "missing" if ours is None else missing or _misfit(theirs, ours, asked=asked))
    yield from compared(theirs, ours, path, asked=asked)


def _missing(theirs: Shape, ours: Shape | None, name: str, asked: bool) -> str | None:
    """An answer must always have what it promises."""
    needed = not asked and name in (theirs.required or ())
    return "may be missing" if needed and ours and name not in (ours.required or ()) else None


def _misfit(theirs: Shape, ours: Shape, *, asked: bool) -> str | None:
    wide, narrow = (ours, theirs) if asked else (theirs, ours)
    if not wide.free and (types := narrow.types - wide.types - ({"null"} if asked else set())):
        return f"type {'|'.join(sorted(types))} {'not taken' if asked else 'not theirs'}"
    if wide.values and narrow.values is not None and (values := narrow.values - wide.values):
        return f"values {sorted(map(str, values))} {'not taken' if asked else 'not theirs'}"
    if wide.values and narrow.values is None and "string" in narrow.types and not narrow.variants:
        return "only some values"
    if variants := [name for name in narrow.variants if name not in wide.variants and not _as_variant(wide, name)]:
        return f"variants {sorted(variants)} {'not taken' if asked else 'not theirs'}"
    if narrow.items and wide.items:
        return _misfit(theirs.items or Shape(), ours.items or Shape(), asked=asked)
    return None


def _facing(theirs: Shape, ours: Shape | None) -> Shape | None:
    """Where theirs is one kind of object and ours are several: that kind."""
    if ours is None or theirs.variants or not ours.variants:
        return ours
    return next((variant for name, variant in ours.variants.items() if _as_variant(theirs, name)), ours)


def _as_variant(shape: Shape, name: str) -> Shape | None:
    """A union of one kind of object has no variants, but may be the one that is looked for."""
    tags = [shape.properties[tag].values for tag in ("type", "role", "object") if tag in shape.properties]
    return shape if any(values and name in values for values in tags) else None
