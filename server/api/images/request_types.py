"""What /v1/images/generations, /edits and /variations are asked: one as JSON, the others as forms beside the image and its mask."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from server.api.common.hints import WHO
from server.api.common.unsupported import supports_only
from server.http.fields import STRICT
from server.http.lists import MAX_EXACT_INT, QUERY
from server.http.warnings import Hint
from server.images.files import Format

Quality = Literal["standard", "hd", "low", "medium", "high", "auto"]  # how many steps, where `steps` does not say
Text = Annotated[str, StringConstraints(min_length=1)]
STYLE = Hint("a style is part of the prompt")
UNMODERATED = Hint("nothing is moderated here")
FIDELITY = Hint("strength says how much of an image is changed")


class ImageFields(BaseModel):
    """What all three have."""

    model: Text | None = None
    n: Annotated[int, Field(ge=1, le=10)] | None = None
    size: Annotated[str, StringConstraints(pattern=r"^(auto|[1-9][0-9]{0,4}x[1-9][0-9]{0,4})$")] | None = None
    response_format: Literal["b64_json", "url"] | None = None  # url: a data URL
    output_format: Format | None = None
    output_compression: Annotated[int, Field(ge=0, le=100)] | None = None  # the quality of jpeg and webp
    quality: Quality | None = None
    background: Annotated[Literal["transparent", "opaque", "auto"] | None, supports_only("opaque", "auto")] = None
    user: Annotated[str | None, WHO] = None
    # extensions
    seed: Annotated[int, Field(ge=0, lt=MAX_EXACT_INT)] | None = None  # of the first picture; each further one has the next
    steps: Annotated[int, Field(ge=1)] | None = None
    guidance_scale: Annotated[float, Field(ge=0, le=100)] | None = None
    negative_prompt: str | None = None
    true_cfg_scale: Annotated[float, Field(ge=1, le=100)] | None = None  # how far from negative_prompt, of models that compute once else


class StreamedFields(ImageFields):
    stream: bool | None = None
    partial_images: Annotated[int, Field(ge=0, le=3)] | None = None


class GenerationRequest(StreamedFields):
    model_config = STRICT
    prompt: str
    moderation: Annotated[Literal["low", "auto"] | None, UNMODERATED] = None
    style: Annotated[Literal["vivid", "natural"] | None, STYLE] = None


Strength = Annotated[float, Field(gt=0, le=1)]


class EditFields(StreamedFields):
    prompt: str
    input_fidelity: Annotated[Literal["high", "low"] | None, FIDELITY] = None
    strength: Strength | None = None  # extension


class EditForm(EditFields):
    model_config = QUERY


class ImageRef(BaseModel):
    """By one of `image_url` and `file_id`."""

    model_config = STRICT
    image_url: Text | None = None
    file_id: Text | None = None


class EditRequest(EditFields):
    """The same as JSON."""

    model_config = STRICT
    images: Annotated[list[ImageRef], Field(min_length=1, max_length=16)]
    mask: ImageRef | None = None
    moderation: Annotated[Literal["low", "auto"] | None, UNMODERATED] = None


class VariationForm(ImageFields):
    model_config = QUERY
    strength: Strength | None = None  # extension
