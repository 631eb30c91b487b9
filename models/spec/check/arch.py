"""Of an architecture and its layers."""

from collections.abc import Iterator
from dataclasses import replace

from models.spec.arch import Arch, Layer, beside_embedding, mixers, streams, tower
from models.spec.block import SharedBlock
from models.spec.check.encoder import crossing, reading, seen
from models.spec.check.ffn import feed_forward
from models.spec.check.mixers import single
from models.spec.check.problem import Problem, positive
from models.spec.check.sight import sight
from models.spec.ffn import MLP
from models.spec.json_form import SpecError
from models.spec.linear import Rwkv7
from models.spec.masks import BlockCausal
from models.spec.mixers import Attention, Parallel
from models.spec.outputs import Denoised, Writes
from models.spec.positions import Alibi, Axial, Learned, Rope, Sinusoidal


def check(arch: Arch, path: str = "arch") -> None:
    """Raises SpecError for the first thing that cannot be built or run."""
    for where, problem in problems(arch):
        raise SpecError(f"{path}{where} {problem}")


def problems(arch: Arch) -> Iterator[Problem]:
    yield from positive(arch, "", "dim", *(() if arch.patches else ("vocab",)), "context")
    yield from sight(arch)
    yield from _position(arch)
    if arch.ngrams is not None and isinstance(arch.output, Writes):
        yield ".ngrams", "must be left out: they see tokens ahead, which a decoder has not got yet"
    elif arch.ngrams is not None and (arch.ngrams.kernel < 1 or arch.ngrams.kernel % 2 == 0):
        yield ".ngrams.kernel", f"= {arch.ngrams.kernel} must be odd: as many tokens before as after"
    if isinstance(arch.output, Denoised):
        yield from _denoised(arch, arch.output)
    yield from seen(arch)
    yield from reading(arch)
    if arch.encoder is not None:
        yield from ((f".encoder{where}", problem) for where, problem in problems(tower(arch.encoder, arch.vocab)))
    if any((layer.placement == "reversible") != (streams(arch) == 2) for layer in arch.layers):
        yield ".layers", "must all have the placement reversible, or none of them"
    if streams(arch) == 2 and (arch.tied or arch.embed_dim or arch.ngrams):
        name = ".tied" if arch.tied else ".embed_dim" if arch.embed_dim else ".ngrams"
        yield name, "cannot be where layers are reversible: their rows are two streams wide"
    if not any(map(mixers, arch.layers)):
        yield ".layers", "must have a mixer in one of them at least: otherwise no token would see another"
    for i, layer in enumerate(arch.layers):
        for where, problem in (*_layer(layer, arch), *_shared(i, arch), *_first_values(i, arch)):
            yield f".layers[{i}]{where}", problem


def _denoised(arch: Arch, output: Denoised) -> Iterator[Problem]:
    if not 0 <= output.mask < arch.vocab:
        yield ".output.mask", f"= {output.mask} is no token of the {arch.vocab}"
    masks = {mixer.mask for layer in arch.layers for mixer in mixers(layer) if isinstance(mixer, Attention)}
    if output.shifted and any(isinstance(mask, BlockCausal) for mask in masks):
        yield ".output.shifted", "must be false with the mask BlockCausal: a block's first token would need the block before once more"
    if len(masks) > 1:
        yield ".layers", "must all have the same mask where they are denoised"
    if arch.encoder is not None:
        yield ".encoder", "must be null where the output is denoised"


def _position(arch: Arch) -> Iterator[Problem]:
    match arch.position:
        case Learned(count=count) | Axial(count=count) if count < arch.context:
            yield ".position.count", f"= {count} is less than context = {arch.context}: some positions would have no row"
        case Axial(row_dim=row_dim, column_dim=column_dim) if row_dim + column_dim != beside_embedding(arch):
            yield ".position", f"must have a row_dim and a column_dim that are {beside_embedding(arch)} together"
        case Sinusoidal() if (rows := beside_embedding(arch)) % 2 or rows < 4:
            yield ".position", f"cannot be Sinusoidal: sines and cosines need an even number of columns, 4 at least, not {rows}"
        case _:
            pass


def _shared(number: int, arch: Arch) -> Iterator[Problem]:
    layer = arch.layers[number]
    if layer.block is not None and layer.block.weights_of is not None:
        yield from _shared_block(number, layer.block, layer.block.weights_of, arch)
    if (owner := layer.weights_of) is None:
        return
    if not 0 <= owner < number or arch.layers[owner].weights_of is not None:
        yield ".weights_of", f"= {owner} must be the number of an earlier layer that has weights of its own"
    elif arch.layers[owner] != replace(layer, weights_of=None):
        yield ".weights_of", f"= {owner} must be the number of a layer that is built alike"


def _shared_block(number: int, block: SharedBlock, owner: int, arch: Arch) -> Iterator[Problem]:
    found = arch.layers[owner].block if 0 <= owner < number else None
    if found is None or found != replace(block, weights_of=None):
        yield ".block.weights_of", f"= {owner} must be the number of an earlier layer whose block is built alike, with weights of its own"


def _first_values(number: int, arch: Arch) -> Iterator[Problem]:
    def sizes(layer: Layer, first: bool) -> set[tuple[int, int]]:
        return {(m.heads, m.head_dim) for m in mixers(layer) if isinstance(m, Rwkv7) and (m.first is None) == first}

    if sizes(arch.layers[number], False) - {size for layer in arch.layers[:number] for size in sizes(layer, True)}:
        yield ".mixer.first", "must be null: no earlier layer has values of its own for heads of this size"


def _layer(layer: Layer, arch: Arch) -> Iterator[Problem]:
    if isinstance(layer.mixer, Parallel) and len(layer.mixer.mixers) < 2:
        yield ".mixer.mixers", "must be two at least: one alone stands where Parallel does"
    for i, mixer in enumerate(mixers(layer)):
        place = f".mixer.mixers[{i}]" if isinstance(layer.mixer, Parallel) else ".mixer"
        yield from ((where.replace(".mixer", place, 1), problem) for where, problem in single(mixer, arch))
    if layer.ffn is not None:
        yield from feed_forward(layer.ffn, arch)
    if layer.block is not None:
        yield from _block(layer, layer.block, arch)
    yield from crossing(layer)
    if layer.mixer is None and layer.ffn is None:
        yield ".ffn", "must not be null where mixer is null, too: the layer would do nothing"
    elif None in (layer.mixer, layer.ffn) and layer.placement != "pre":
        yield ".placement", f"= {layer.placement} needs a mixer and a feed-forward part: without one of them it must be pre"


def _block(layer: Layer, block: SharedBlock, arch: Arch) -> Iterator[Problem]:
    alone = layer.mixer is not None and layer.ffn is None and layer.placement == "pre" and layer.weights_of is None
    if not alone or not isinstance(arch.output, Writes):
        yield ".block", "can only be beside a mixer without a feed-forward part, with weights of its own, in a decoder"
    if not isinstance(block.attention.position, Rope | Alibi | None):
        yield ".block.attention.position", "must be Rope, Alibi or null"
    yield from ((where.replace(".mixer", ".block.attention", 1), problem) for where, problem in single(block.attention, arch))
    yield from ((f".block{where}", problem) for where, problem in feed_forward(block.ffn, arch))
    if isinstance(block.ffn, MLP) and block.ffn.shift is not None:
        yield ".block.ffn.shift", "must be null: what several layers share has no token before of its own"
    yield from positive(block, ".block", "rank")
