"""Whether encoders of texts and the denoiser of a pipeline fit one another."""

from collections.abc import Iterator, Sequence

from models.hf import ConfigError
from models.spec import width
from models.spec.diffusion import Joined, LastRows, MaskedT5, Mmdit, PairedRows, PairedRowsAndT5, PixArt, TextEncoder, UNet, VectorAndT5

Texts = Sequence[TextEncoder | None]
Denoiser = UNet | Mmdit | PixArt
Pair = tuple[str, int, str, int]  # what an encoder's configuration says, and what the denoiser's


def expect_fitting(joined: Joined, texts: Texts, spec: Denoiser, where: str) -> None:
    """`where`: of the denoiser's configuration. Raises ConfigError."""
    for name, found, other, wanted in _pairs(joined, texts, spec):
        if found != wanted:
            raise ConfigError(f"{name} = {found}, but {where}: {other} = {wanted}")
    if isinstance(joined, PairedRowsAndT5) and _dim(texts[0]) + _dim(texts[1]) > spec.text:
        found = _dim(texts[0]) + _dim(texts[1])
        raise ConfigError(
            f"{where}: joint_attention_dim = {spec.text} must be {found} at least, as both text encoders' hidden_size together"
        )
    if len(contexts := {text.context for text in texts[:2] if text is not None}) > 1 and isinstance(joined, PairedRows | PairedRowsAndT5):
        raise ConfigError(f"text_encoder and text_encoder_2: max_position_embeddings = {sorted(contexts)} must be the same")


def _pairs(joined: Joined, texts: Texts, spec: Denoiser) -> Iterator[Pair]:
    first, last = f"text_encoder{_number(0)}/config.json", f"text_encoder{_number(len(texts) - 1)}/config.json"
    if isinstance(spec, UNet):
        pooled = width(texts[1].arch) if isinstance(joined, PairedRows) and texts[1] is not None else 0
        yield "columns of the second text encoder's vector", pooled, "columns of text_embeds", spec.sized.pooled if spec.sized else 0
    match joined, spec:
        case LastRows(), _:
            yield f"{first}: hidden_size", _dim(texts[0]), "cross_attention_dim", spec.text
        case PairedRows(), _:
            yield (
                "hidden_size of text_encoder and text_encoder_2 together",
                _dim(texts[0]) + _dim(texts[1]),
                "cross_attention_dim",
                spec.text,
            )
        case PairedRowsAndT5(), Mmdit():
            vectors = sum(width(text.arch) for text in texts[:2] if text is not None)
            yield "projection_dim of text_encoder and text_encoder_2 together", vectors, "pooled_projection_dim", spec.pooled
            if texts[2] is not None:
                yield f"{last}: d_model", _dim(texts[2]), "joint_attention_dim", spec.text
        case VectorAndT5(), Mmdit():
            yield f"{first}: hidden_size", _dim(texts[0]), "pooled_projection_dim", spec.pooled
            yield f"{last}: d_model", _dim(texts[1]), "joint_attention_dim", spec.text
        case MaskedT5(), _:
            yield f"{first}: d_model", _dim(texts[0]), "caption_channels", spec.text
        case _:
            raise ConfigError(f"{type(joined).__name__} is no way to tell texts to a {type(spec).__name__}")


def _dim(text: TextEncoder | None) -> int:
    return 0 if text is None else text.arch.dim


def _number(at: int) -> str:
    return f"_{at + 1}" if at else ""
