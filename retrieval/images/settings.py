"""What a model's folder says about its images: preprocessor_config.json, or the same inside of processor_config.json. What nobody reads is
an error, as an image that is prepared in another way is seen as another one."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL.Image import Resampling

FILES = ("preprocessor_config.json", "processor_config.json")
LARGEST = 4096  # of a side: no encoder of images reads more


@dataclass(frozen=True, slots=True)
class Shortest:
    """The shorter side becomes so long, the other one in proportion."""

    side: int


@dataclass(frozen=True, slots=True)
class Exact:
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Fitting:
    """As large as may be in about the same proportions, in whole patches of `patch` pixels a side, of which there are `most`."""

    patch: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """In this order; None: the step is left out. `scale`: of the bytes."""

    resize: Shortest | Exact | Fitting | None
    filter: Resampling
    crop: Exact | None  # out of the middle; what is smaller gets a black margin
    scale: float | None
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None


class PreprocessingError(ValueError):
    """The file asks for something that is not done here, or lacks something."""


_CLIP = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
_HALF = ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5])
_SQUARE = {"height": 224, "width": 224}


def _defaults(resample: int, statistics: tuple[list[float], list[float]], **more: Any) -> dict[str, Any]:
    usual = {"do_resize": True, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True, "do_center_crop": False}
    return {**usual, "resample": resample, "image_mean": statistics[0], "image_std": statistics[1], **more}


# what a processor takes absent keys to be
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "CLIP": _defaults(3, _CLIP, size={"shortest_edge": 224}, do_center_crop=True, crop_size=_SQUARE),
    "Llava": _defaults(3, _CLIP, size={"shortest_edge": 224}, do_center_crop=True, crop_size=_SQUARE),
    "Bit": _defaults(3, _CLIP, size={"shortest_edge": 224}, do_center_crop=True, crop_size=_SQUARE),
    "ViT": _defaults(2, _HALF, size=_SQUARE),
    "Siglip": _defaults(3, _HALF, size=_SQUARE),
    "Siglip2": _defaults(2, _HALF, patch_size=16, max_num_patches=256),
}
# said by some files, and nothing that changes a pixel
HARMLESS = (
    *("_valid_processor_keys", "data_format", "default_to_square", "device", "disable_grouping", "do_convert_rgb", "image_seq_length"),
    *("feature_extractor_type", "image_processor_type", "input_data_format", "processor_class", "return_tensors"),
)
_OFF = ("do_pad", "pad_size", "do_reduce_labels", "do_thumbnail", "do_align_long_axis", "do_flip_channel_order")


def read_preprocessing(directory: Path) -> Preprocessing:
    """Raises PreprocessingError."""
    return preprocessing_of(*said_of_images(directory))


def said_of_images(directory: Path) -> tuple[dict[str, Any], str]:
    """What a folder says, and the name of the file. Raises PreprocessingError where it says nothing."""
    for name in FILES:
        file = directory / name
        said: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        said = said.get("image_processor") or {} if name == "processor_config.json" else said
        if said:
            return said, name
    raise PreprocessingError(f"{directory.name} has neither {' nor '.join(FILES)}, which say how images are prepared")


def preprocessing_of(said: Mapping[str, Any], where: str = FILES[0]) -> Preprocessing:
    kind = kind_of(said, where, DEFAULTS)
    values = {**DEFAULTS[kind], **{key: value for key, value in said.items() if value is not None}}
    on = [key for key in _OFF if values.pop(key, None)]
    known = {*HARMLESS, *_OFF, "resample", "size", "crop_size", *DEFAULTS[kind]}
    if unknown := [*sorted(values.keys() - known), *on]:
        raise PreprocessingError(f"{where}: nobody reads {', '.join(unknown)}; images might not be prepared as the model was trained")
    crop, statistics = values["do_center_crop"], values["do_normalize"]
    return Preprocessing(
        resize=_resize(values, kind, where) if values["do_resize"] else None,
        filter=filter_of(values["resample"], where),
        crop=exact_of(values["crop_size"], f"{where}: crop_size") if crop else None,
        scale=float(values["rescale_factor"]) if values["do_rescale"] else None,
        mean=numbers_of(values["image_mean"], f"{where}: image_mean") if statistics else None,
        std=numbers_of(values["image_std"], f"{where}: image_std") if statistics else None,
    )


def kind_of(said: Mapping[str, Any], where: str, known: Collection[str]) -> str:
    """Which of the processors that are `known` is meant. Raises PreprocessingError."""
    name = str(said.get("image_processor_type") or said.get("feature_extractor_type"))
    kind = name
    for ending in ("Fast", "Pil", "ImageProcessor", "FeatureExtractor"):
        kind = kind.removesuffix(ending)
    if kind not in known or kind == name:
        shown = ", ".join(f"{one}ImageProcessor" for one in known)
        raise PreprocessingError(f"{where}: image_processor_type = {name!r} is not supported, only {shown}")
    return kind


def _resize(values: Mapping[str, Any], kind: str, where: str) -> Shortest | Exact | Fitting:
    if kind == "Siglip2":
        return Fitting(
            side_of(values["patch_size"], f"{where}: patch_size"), side_of(values["max_num_patches"], f"{where}: max_num_patches")
        )
    match values["size"]:
        case {"shortest_edge": side, **rest} if not rest:
            return Shortest(side_of(side, f"{where}: size"))
        case int(side) if kind in ("CLIP", "Bit", "Llava"):
            return Shortest(side_of(side, f"{where}: size"))
        case size:
            return exact_of(size, f"{where}: size")


def exact_of(value: Any, where: str) -> Exact:
    match value:
        case int(side):
            return Exact(side_of(side, where), side_of(side, where))
        case {"height": height, "width": width, **rest} if not rest:
            return Exact(side_of(height, where), side_of(width, where))
        case _:
            raise PreprocessingError(f"{where} = {value!r} is not supported: it must be a number of pixels, or height and width")


def side_of(value: Any, where: str) -> int:
    if type(value) is not int or not 0 < value <= LARGEST:
        raise PreprocessingError(f"{where} = {value!r} must be an integer from 1 to {LARGEST}")
    return value


def filter_of(value: Any, where: str) -> Resampling:
    try:
        return Resampling(value)
    except ValueError:
        raise PreprocessingError(f"{where}: resample = {value!r} must be the number of one of Pillow's filters") from None


def numbers_of(value: Any, where: str) -> tuple[float, ...]:
    match value:
        case [int() | float(), int() | float(), int() | float()]:
            return tuple(map(float, value))
        case int() | float():
            return (float(value),) * 3
        case _:
            raise PreprocessingError(f"{where} = {value!r} must be three numbers")
