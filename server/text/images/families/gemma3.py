"""PaliGemma (Beyer et al. 2024, arXiv 2407.07726) and Gemma 3 (arXiv 2503.19786): an image is one square."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retrieval.images.decoder import Pixels
from retrieval.images.preprocess import to_size
from retrieval.images.settings import Preprocessing, PreprocessingError, preprocessing_of
from server.text.images.families.llava import OneTile
from server.text.images.processor import Part, read_settings, square_of, tiles_of

BEGIN, END = "\n\n<start_of_image>", "<end_of_image>\n\n"
CROPS = ("pan_and_scan_min_crop_size", "pan_and_scan_max_num_crops", "pan_and_scan_min_ratio_to_activate")


@dataclass(frozen=True, slots=True)
class BetweenMarks:
    settings: Preprocessing
    side: int

    def __call__(self, pixels: Pixels, *, low: bool) -> tuple[Part, ...]:
        return BEGIN, tiles_of([to_size(pixels, self.side, self.side, self.settings.filter)], self.settings), END


def gemma3(said: Mapping[str, Any], where: str) -> BetweenMarks:
    """Raises PreprocessingError."""
    half = [0.5, 0.5, 0.5]
    own = {"size": {"height": 224, "width": 224}, "do_pan_and_scan": None, **dict.fromkeys(CROPS)}
    found, settings = read_settings(said, where, ("Gemma3",), own, resample=2, image_mean=half, image_std=half)
    if found["do_pan_and_scan"]:
        raise PreprocessingError(f"{where}: do_pan_and_scan is not supported: images are read as a whole")
    return BetweenMarks(settings, square_of(found["size"], f"{where}: size"))


def paligemma(said: Mapping[str, Any], where: str) -> OneTile:
    """Raises PreprocessingError."""
    return OneTile(preprocessing_of(said, where))
