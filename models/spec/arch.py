"""The whole: layers, and what lies before and behind them."""

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Literal

from models.spec.block import SharedBlock
from models.spec.cross import CrossAttention, EncoderInput, OwnEmbedding, SharedEmbedding
from models.spec.ffn import FFN, Activation
from models.spec.images import Mean, Merge, Patches
from models.spec.mixers import Mixer, Parallel, Single
from models.spec.norms import Norm
from models.spec.outputs import Classifier, Denoised, Dense, Next, Output, Pooled, Writes, pooled_width
from models.spec.positions import Axial, DynamicNtk, Learned, LongRope, Rope, Sinusoidal
from models.spec.sparse import GlobalTokens
from models.spec.value import spec

Placement = Literal["pre", "pre_ffn", "post", "sandwich", "after", "parallel", "parallel_shared", "reversible"]


@spec
class Layer:
    """pre: x + f(norm(x)).  pre_ffn: the same, but the mixer reads x as it is.  post: norm(x + f(x)).
    sandwich: x + norm(f(norm(x))).  after: x + norm(f(x)).
    parallel: x + mixer(norm(x)) + ffn(norm(x)), each with a norm of its own; parallel_shared: both with the same.
    reversible: x is two streams a and b side by side, which begin alike; a + mixer(norm(b)), then b + ffn(norm(a)) (Gomez et
    al. 2017, arXiv 1707.04585; Reformer). All layers are so or none.
    `scale` multiplies what each of the two adds to x. `weights_of`: the number of the earlier layer whose weights this one
    has too (Dehghani et al. 2018, arXiv 1807.03819; ALBERT, arXiv 1909.11942); what it remembers is its own."""

    mixer: Mixer | None  # one of the two may be None: then the other is all there is, and placement must be pre
    ffn: FFN | None
    norm: Norm = Norm()
    placement: Placement = "pre"
    scale: float = 1.0
    weights_of: int | None = None
    block: SharedBlock | None = None  # beside a mixer alone, in a decoder
    # between mixer and feed-forward part, with a norm of its own, where there is an encoder; in the place of a mixer where images are
    # looked at (`CrossVision`)
    cross: CrossAttention | None = None


@spec
class Stage:
    """Layers of an encoder of images before wider ones (Swin: Liu et al. 2021, arXiv 2103.14030). Behind them the rows of 2 * 2
    neighbouring patches side by side, normed, become one of the next stage's by a matrix."""

    dim: int
    layers: tuple[Layer, ...]
    norm: Norm


@spec
class Ngrams:
    """Behind the first layer, norm(x + act(conv(e))): e are the rows that it read, and the convolution looks at `kernel` tokens,
    as many before as after (DeBERTa-v2, arXiv 2006.03654)."""

    kernel: int
    activation: Activation = "tanh"
    norm: Norm


@spec
class Tower:
    """The encoder of an encoder-decoder (Sutskever et al. 2014, arXiv 1409.3215): it reads a whole input before the first token of the
    answer, and what comes out of its last norm is what the decoder's layers with `cross` look at."""

    dim: int
    layers: tuple[Layer, ...]
    norm: Norm | None = Norm()  # behind the last layer
    input: EncoderInput = SharedEmbedding()
    embed_scale: float = 1.0
    embed_norm: Norm | None = None
    position: Learned | Sinusoidal | None = None
    context: int  # rows of the longest input


Step = Norm | Merge | Mean | Dense


@spec
class Deep:
    """Rows that are made behind number `layer` of a tower's layers, and added to the image's behind one of the decoder's first."""

    layer: int
    connector: tuple[Step, ...]


@spec
class Vision:
    """What makes of an image rows that stand among those of a decoder's tokens (LLaVA: Liu et al. 2023, arXiv 2304.08485): a tower reads
    patches, and `connector` turns the rows behind its last layer, and norm, into the decoder's. That of the tower's class token is not one
    of them.

    `marker`: the token that stands, as often as there are rows, in their place. `deep`: further rows, for the decoder's first layers in
    turn (DeepStack: Meng et al. 2024, arXiv 2406.04334). `newline`: a row of its own ends each line of a picture that was cut into tiles
    (LLaVA-NeXT). `sees`: an image's tokens see those before them, or also all of the image, or all tokens of the prompt see one another
    (PaliGemma, arXiv 2407.07726)."""

    tower: Tower
    connector: tuple[Step, ...]
    marker: int
    any_size: bool = False  # whether images keep their size, and patches lie in any grid
    deep: tuple[Deep, ...] = ()
    newline: bool = False
    sees: Literal["before", "image", "prompt"] = "before"

    @property
    def patches(self) -> Patches:
        """What its tower reads."""
        if not isinstance(self.tower.input, Patches):
            raise TypeError("the tower of a vision-language architecture must read patches")
        return self.tower.input

    @property
    def merge(self) -> int:
        """So many patches a side make one of the decoder's rows."""
        return prod(step.side for step in self.connector if isinstance(step, Merge | Mean))


@spec
class TiledTower:
    """Reads a picture cut into tiles, all of them in one sequence (Llama 3.2 Vision, after arXiv 2407.21783, section 7.1). There are always
    as many as the largest of `arrangements` (lines and columns of tiles) has; the last ones may be black. To each row is added one for its
    place in the tile, and one for the arrangement, the tile and the place, to each patch also one for arrangement and tile. Behind `layers`
    and `norm`, another one for arrangement and tile is added before the `last_layers`. What comes out is the rows behind these, and beside
    them, number by number, those behind the layers that were `taken`.

    A tile's rows are filled up to a multiple of `multiple`. What fills a tile up, and all of a black one, is seen by the rows of the
    picture, but not by one another (the mask Hubs)."""

    dim: int
    input: Patches  # of one tile
    arrangements: tuple[tuple[int, int], ...]
    embed_norm: Norm
    layers: tuple[Layer, ...]
    norm: Norm
    last_layers: tuple[Layer, ...]
    taken: tuple[int, ...]
    multiple: int = 8

    @property
    def tiles(self) -> int:
        return max(lines * columns for lines, columns in self.arrangements)

    @property
    def width(self) -> int:
        """Of what comes out."""
        return self.dim * (1 + len(self.taken))

    @property
    def archs(self) -> "tuple[Arch, Arch]":
        """Both stacks of layers as architectures of their own."""
        same = {"dim": self.dim, "vocab": 0, "patches": self.input, "output": Pooled(), "context": self.tiles * self.input.rows}
        return Arch(layers=self.layers, norm=self.norm, embed_norm=self.embed_norm, **same), Arch(
            layers=self.last_layers, norm=None, **same
        )


@spec
class CrossVision:
    """What makes of images the rows that a decoder's layers with `cross` look at (Flamingo: Alayrac et al. 2022, arXiv 2204.14198).
    `marker`: the token that stands once for each image. A token looks at the last image at or before it, or at all of those that follow one
    another there, but not at black tiles. One before all images looks at everything, and the feed-forward parts of those layers add nothing
    to it. Where there are no images, these layers change nothing."""

    tower: TiledTower
    connector: Dense
    marker: int

    @property
    def rows(self) -> int:
        """Of each image, black tiles included."""
        return self.tower.tiles * self.tower.input.rows

    @property
    def patches(self) -> Patches:
        return self.tower.input


@spec
class Arch:
    """A decoder if `output` is Next, or Denoised where tokens also see others that come after them; otherwise an encoder, which reads whole
    sequences and remembers nothing. With `encoder`, an encoder-decoder.

    `patches`: an encoder that reads images in place of tokens; its vocabulary is empty, and its context is as many rows as an image of
    the grid that it was trained with has, or as the first of its stages has of one. `before`: stages before `layers`, which are the last
    one's, as `dim` is.

    `embed_dim`: of the table's rows where that is not `dim`. In a decoder one matrix brings them to `dim` and another one back
    (OPT-350m); in an encoder a matrix with bias, behind positions, segments and norm, which are as narrow (ALBERT)."""

    dim: int
    vocab: int
    layers: tuple[Layer, ...]
    norm: Norm | None = Norm()  # behind the last layer
    tied: bool = False
    embed_dim: int | None = None
    read_only: int = 0  # rows of the embedding behind those of `vocab`: of tokens that are read, and never written
    embed_scale: float = 1.0
    embed_norm: Norm | None = None
    position: Learned | Sinusoidal | Axial | None = None
    segments: int = 0  # kinds of tokens, each with a row that is added to the embedding
    global_tokens: GlobalTokens | None = None  # of `LocalGlobalAttention`
    ngrams: Ngrams | None = None  # of an encoder
    patches: Patches | None = None
    before: tuple[Stage, ...] = ()
    encoder: Tower | None = None
    vision: Vision | CrossVision | None = None  # of a decoder
    output: Output = Next()
    context: int  # tokens the checkpoint was trained or scaled to see


def tower(encoder: Tower, vocab: int) -> Arch:
    """The same layers as an architecture of their own, whose rows are pooled. `vocab`: the decoder's, for what reads tokens of it, or
    frames."""
    match encoder.input:
        case OwnEmbedding(vocab=rows):
            patches = None
        case Patches() as patches:
            rows = 0
        case _:
            rows, patches = vocab, None
    same = {name: getattr(encoder, name) for name in ("dim", "layers", "norm", "embed_scale", "embed_norm", "position", "context")}
    return Arch(vocab=rows, output=Pooled(), patches=patches, **same)


def mixers(layer: Layer) -> tuple[Single, ...]:
    """Those that read a layer's own rows: none, one, or several that work in parallel."""
    match layer.mixer:
        case None:
            return ()
        case Parallel(mixers=several):
            return several
        case one:
            return (one,)


def all_mixers(layer: Layer) -> tuple[Single, ...]:
    """These, and before them the one of the block that it shares."""
    return mixers(layer) if layer.block is None else (layer.block.attention, *mixers(layer))


def map_mixers(layer: Layer, change: Callable[[Single], Single]) -> Layer:
    """The same layer, each of its own mixers changed."""
    match layer.mixer:
        case None:
            return layer
        case Parallel(mixers=several):
            return replace(layer, mixer=Parallel(mixers=tuple(map(change, several))))
        case one:
            return replace(layer, mixer=change(one))


def long_ropes(arch: Arch) -> tuple[Rope, ...]:
    """Those whose angles depend on how long a sequence may become."""
    ropes = {mixer.position for layer in arch.layers for mixer in all_mixers(layer)}
    return tuple(rope for rope in ropes if isinstance(rope, Rope) and isinstance(rope.scaling, LongRope | DynamicNtk))


def turned_ropes(arch: Arch) -> tuple[Rope, ...]:
    """Those of its own layers whose positions may have several coordinates."""
    ropes = {mixer.position for layer in arch.layers for mixer in all_mixers(layer)}
    return tuple(rope for rope in ropes if isinstance(rope, Rope) and rope.axes)


def streams(arch: Arch) -> int:
    """How many times as wide as `dim` the rows are that go through the layers and come out of them."""
    return 2 if any(layer.placement == "reversible" for layer in arch.layers) else 1


def stages(arch: Arch) -> tuple[Arch, ...]:
    """Those before the last one as architectures of their own, with what stands before the first."""
    parts = list[Arch]()
    for stage in arch.before:
        first = {"patches": arch.patches, "embed_norm": arch.embed_norm} if not parts else {}
        parts.append(Arch(dim=stage.dim, vocab=0, layers=stage.layers, norm=None, output=Pooled(), context=arch.context, **first))
    return tuple(parts)


def crossed_rows(arch: Arch) -> tuple[int, int]:
    """Of what layers with `cross` look at: columns, and how many there are of the longest input, or of one image."""
    if arch.encoder is not None:
        return arch.encoder.dim, arch.encoder.context
    return (arch.vision.connector.width, arch.vision.rows) if isinstance(arch.vision, CrossVision) else (0, 0)


def width(arch: Arch) -> int:
    """Numbers in a row of what comes out."""
    match arch.output:
        case Next() | Denoised():
            return arch.vocab
        case Pooled(layers=layers) as output:
            return layers[-1].width if layers else pooled_width(output, arch.dim * streams(arch))
        case Classifier(labels=labels):
            return labels


def beside_embedding(arch: Arch) -> int:
    """Columns of what is added to the embedding: positions and segments."""
    return arch.dim if isinstance(arch.output, Writes) else arch.embed_dim or arch.dim
