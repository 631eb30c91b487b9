"""What /v1/images/... answers: OpenAI's shapes."""

from typing import Annotated, Literal

from pydantic import BaseModel

from server.http.fields import OMIT_NONE
from server.http.warnings import WarningObject
from server.images.files import Format

Steps = Literal["low", "medium", "high"]


class InputTokens(BaseModel):
    text_tokens: int
    image_tokens: int


class Usage(BaseModel):
    input_tokens: int
    input_tokens_details: InputTokens
    output_tokens: int  # positions of the pictures that the denoiser computes
    total_tokens: int


class Image(BaseModel):
    b64_json: Annotated[str | None, OMIT_NONE] = None
    url: Annotated[str | None, OMIT_NONE] = None
    seed: int  # extension: with which it can be made again


class Look(BaseModel):
    """What is said of every picture."""

    background: Literal["opaque"] = "opaque"
    output_format: Format
    quality: Steps
    size: str


class Images(Look):
    created: int
    data: list[Image]
    usage: Usage
    warnings: Annotated[list[WarningObject] | None, OMIT_NONE] = None


class PartialImage(Look):
    type: Literal["image_generation.partial_image", "image_edit.partial_image"]
    b64_json: str
    created_at: int
    partial_image_index: int


class Completed(Look):
    type: Literal["image_generation.completed", "image_edit.completed"]
    b64_json: str
    created_at: int
    seed: int  # extension
    usage: Usage
