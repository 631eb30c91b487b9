"""Reformer (arXiv 2001.04451) as a decoder, which remembers every token and its buckets, and masks those that it is not shown.

Every token is shown what transformers shows it when it comes alone, after those before it: equal to transformers' own answers
to prompts shorter than a chunk, whatever their length. transformers reads a longer prompt at once, sorts all of it, the tokens
behind a token included, and so gives the token other neighbours than it had alone; here it makes no difference how a prompt is
cut, nor what comes after. Where transformers reads a prompt of exactly one chunk, it shows the next token all of it once more."""

from typing import Any

from models.families.encoders import reformer
from models.hf import Config, ConfigError
from models.recipes import Alias, Cat, Copy, Flatten, Recipe, Recipes
from models.spec import Arch, Next


def arch(config: Config) -> Arch:
    if not config.flag("is_decoder", False):
        raise ConfigError(f"{config.where}: is_decoder must be true for a model that makes text")
    return reformer.body(config, Next(bias=True), causal=True)


def _prefixed(recipe: Recipe) -> Recipe:
    match recipe:
        case Copy(source):
            return Copy(reformer.PREFIX + source)
        case Cat(parts):
            return Cat(tuple(map(_prefixed, parts)))
        case Flatten(part):
            return Flatten(_prefixed(part))
        case _:
            return recipe


WEIGHTS: Recipes = {
    **{ours: _prefixed(recipe) for ours, recipe in reformer.WEIGHTS.items()},
    "head.weight": Copy("lm_head.decoder.weight"),
    "head.bias": Alias((Copy("lm_head.decoder.bias"), Copy("lm_head.bias"))),
}

TINY: dict[str, Any] = reformer.TINY | {"architectures": ["ReformerModelWithLMHead"], "is_decoder": True}
