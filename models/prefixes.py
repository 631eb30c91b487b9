"""One model under several names: with the prefix of its body or without (the body alone), or as the text part of a model that also
reads images. A family's recipes know one form; which one a checkpoint has is seen by where its embedding is."""

from collections.abc import Iterator, Mapping

from models.quant import Weight
from models.recipes import Alias, Cat, Copy, First, Gated, Recipe, Recipes, ScaleBy


def canonical(recipes: Recipes, checkpoint: Mapping[str, Weight]) -> Mapping[str, Weight]:
    """The checkpoint under the names of `recipes`. It is left as it is where no form fits."""
    names, embeds = list(checkpoint), list(sources(recipes["embed.weight"])) if "embed.weight" in recipes else []
    for embed in embeds:
        root, _, rest = embed.partition(".")
        for body in _bodies(root):
            if body + rest in names:
                others = {source.partition(".")[0] for recipe in recipes.values() for source in sources(recipe)} - {root}
                return checkpoint if body == f"{root}." else Renamed(checkpoint, {_plain(n, root, body, others): n for n in names})
    return checkpoint


def _bodies(root: str) -> tuple[str, ...]:
    """What may stand where recipes say `root`."""
    inside = (f"{root}.{part}." for part in ("language_model", "text_model"))
    return (f"{root}.", "", f"language_model.{root}.", *inside, "language_model.", "text_model.")


def _plain(name: str, root: str, body: str, others: set[str]) -> str:
    """`others`: what else the recipes' names begin with, as a head's."""
    if not name.startswith(body):
        return name.removeprefix(body.removesuffix(f"{root}."))
    rest = name.removeprefix(body)
    return rest if rest.partition(".")[0] in others else f"{root}.{rest}"


def sources(recipe: Recipe) -> Iterator[str]:
    """Names of the checkpoint's tensors that a recipe may read."""
    match recipe:
        case Copy(source):
            yield source
        case First(parts) | Alias(parts) | Cat(parts):
            for part in parts:
                yield from sources(part)
        case ScaleBy(part, by):
            yield from sources(part)
            yield from sources(by)
        case Gated(part, gate):
            yield gate.source
            yield from sources(part)
        case other:
            yield from sources(other.part)


class Renamed(Mapping[str, Weight]):
    """`stored`: the name in `tensors` of each name here."""

    def __init__(self, tensors: Mapping[str, Weight], stored: Mapping[str, str]) -> None:
        self._tensors, self._stored = tensors, stored

    def __getitem__(self, name: str) -> Weight:
        return self._tensors[self._stored[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)
