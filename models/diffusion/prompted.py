"""Pipelines from texts to pictures, by the `_class_name` of their model_index.json: which denoiser one has, and which encoders of texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.diffusion.fitting import expect_fitting
from models.diffusion.part import Part, read_config
from models.families.diffusion import Rule, text_denoiser_of, unet_of
from models.families.diffusion.text_encoder import text_encoder_of
from models.hf import Config, ConfigError
from models.recipes import Recipes
from models.spec.diffusion import (
    Joined,
    LastRows,
    MaskedT5,
    Mmdit,
    PairedRows,
    PairedRowsAndT5,
    PixArt,
    TextEncoder,
    UNet,
    VectorAndT5,
)

NONE = (None, [None, None])  # of a part that is not there
IGNORED = ("feature_extractor", "safety_checker", "requires_safety_checker", "add_watermarker")  # of finished pictures


@dataclass(frozen=True)
class Usual:
    """Of requests that do not say: the defaults of the pipelines of diffusers."""

    steps: int
    guidance: float


@dataclass(frozen=True)
class TokenizerFolder:
    """`lower`: it reads texts in small letters, without space around them."""

    name: str
    kind: Literal["clip", "t5"]
    lower: bool = False


@dataclass(frozen=True)
class TextPart:
    encoder: TextEncoder
    part: Part[Recipes]
    tokenizer: TokenizerFolder


@dataclass(frozen=True)
class Prompted:
    """`texts`: None for one that is left out. `fills`: the denoiser also reads what is to stay of a picture, and where."""

    spec: UNet | Mmdit | PixArt
    part: Part[Rule]
    texts: tuple[TextPart | None, ...]
    joined: Joined
    usual: Usual
    fills: bool = False


@dataclass(frozen=True)
class _Text:
    """`kinds`: classes of transformers. `context`: tokens of a prompt; None: as many as it reads."""

    kinds: tuple[str, ...]
    context: int | None = None
    filled: bool = True
    optional: bool = False
    lower: bool = False


@dataclass(frozen=True)
class _Kind:
    """`denoiser`: its class of diffusers; `older`: another one under which it is published, too."""

    denoiser: str
    texts: tuple[_Text, ...]
    usual: Usual
    fills: bool = False
    older: str | None = None

    @property
    def folder(self) -> Literal["unet", "transformer"]:
        return "unet" if self.denoiser == UNET else "transformer"


UNET, SD3, FLUX, PIXART = "UNet2DConditionModel", "SD3Transformer2DModel", "FluxTransformer2DModel", "PixArtTransformer2DModel"
_PLAIN, _PROJECTED, _T5 = ("CLIPTextModel",), ("CLIPTextModelWithProjection",), ("T5EncoderModel",)
_PAIR = (_Text(_PLAIN), _Text(_PROJECTED))
KINDS: Mapping[str, _Kind] = {
    "StableDiffusionPipeline": _Kind(UNET, (_Text(_PLAIN),), Usual(50, 7.5)),
    "StableDiffusionInpaintPipeline": _Kind(UNET, (_Text(_PLAIN),), Usual(50, 7.5), fills=True),
    "StableDiffusionXLPipeline": _Kind(UNET, _PAIR, Usual(50, 5.0)),
    "StableDiffusionXLInpaintPipeline": _Kind(UNET, _PAIR, Usual(50, 7.5), fills=True),
    "StableDiffusion3Pipeline": _Kind(SD3, (_Text(_PROJECTED), _Text(_PROJECTED), _Text(_T5, 256, optional=True)), Usual(28, 7.0)),
    "FluxPipeline": _Kind(FLUX, (_Text(_PLAIN), _Text(_T5, 512)), Usual(28, 3.5)),
    "PixArtAlphaPipeline": _Kind(PIXART, (_Text(_T5, 120, filled=False, lower=True),), Usual(20, 4.5), older="Transformer2DModel"),
    "PixArtSigmaPipeline": _Kind(PIXART, (_Text(_T5, 300, filled=False, lower=True),), Usual(20, 4.5), older="Transformer2DModel"),
}


def open_prompted(directory: Path, index: Config, latents: int | None) -> Prompted:
    """`latents`: channels of the autoencoder's. Raises ConfigError."""
    name = index.text("_class_name")
    kind = KINDS[name]
    index.ignore(kind.folder, *IGNORED)
    index.only("image_encoder", *NONE)
    where = f"{kind.folder}/config.json"
    values = read_config(directory / where)
    if (found := values.get("_class_name")) not in (kind.denoiser, kind.older):
        raise ConfigError(f"{where}: _class_name = {found!r}, but a {name} has a {kind.denoiser}")
    spec, rule = unet_of(values, where) if kind.denoiser == UNET else text_denoiser_of(values, where)
    texts = tuple(_text(directory, index, number, text) for number, text in enumerate(kind.texts, 1))
    joined = _joined(index, kind, texts)
    expect_fitting(joined, [None if text is None else text.encoder for text in texts], spec, where)
    fills = kind.fills and latents is not None and spec.channels == 2 * latents + 1
    return Prompted(spec, Part(directory / kind.folder, rule), texts, joined, kind.usual, fills)


def _text(directory: Path, index: Config, number: int, text: _Text) -> TextPart | None:
    last = "" if number == 1 else f"_{number}"
    name, tokenizer = f"text_encoder{last}", f"tokenizer{last}"
    index.ignore(tokenizer)
    if text.optional and index.anything(name) in NONE:
        return None
    index.ignore(name)
    where = f"{name}/config.json"
    values = read_config(directory / where)
    if (found := values.get("architectures") or ["CLIPTextModel"]) != list(text.kinds):
        raise ConfigError(f"{where}: architectures = {found} is not supported, only {list(text.kinds)}")
    encoder, recipes = text_encoder_of(values, where, text.context, text.filled)
    words = TokenizerFolder(tokenizer, "t5" if text.kinds == _T5 else "clip", text.lower)
    return TextPart(encoder, Part(directory / name, recipes, "model"), words)


def _joined(index: Config, kind: _Kind, texts: Sequence[TextPart | None]) -> Joined:
    match kind.denoiser, len(texts):
        case "UNet2DConditionModel", 1:
            return LastRows()
        case "UNet2DConditionModel", _:
            index.only("requires_aesthetics_score", False)
            return PairedRows(zeros=index.flag("force_zeros_for_empty_prompt", True))
        case "SD3Transformer2DModel", _:
            return PairedRowsAndT5(absent=kind.texts[-1].context if texts[-1] is None else None)
        case "FluxTransformer2DModel", _:
            return VectorAndT5()
        case _:
            return MaskedT5()
