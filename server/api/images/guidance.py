"""How closely a prompt is followed, in the way in which a model can be made to."""

from dataclasses import dataclass

from server.api.images.request_types import ImageFields
from server.core.errors import ApiError, bad_request
from server.images.model import ImageModel


@dataclass(frozen=True, slots=True)
class Followed:
    """As `guidance` and `told_guidance` of an ImageRequest."""

    computed: float
    told: float | None = None


def guidance_of(model: ImageModel, fields: ImageFields, prompt: str) -> Followed:
    """As in diffusers' pipelines, 1 and less mean that nothing is computed twice. Raises ApiError."""
    said = model.defaults.guidance if fields.guidance_scale is None else fields.guidance_scale
    match model.info.guidance:
        case "computed":
            if fields.true_cfg_scale is not None:
                raise _refused("true_cfg_scale", f"{model.name} has guidance_scale for it")
            guided = said > 1 and (prompt.strip() or fields.negative_prompt)  # else there is nothing to be guided to
            return Followed(said if guided else 1.0)
        case "told":
            return Followed(_away(model, fields), said)
        case "fixed":
            if fields.guidance_scale is not None:
                raise _refused("guidance_scale", f"{model.name} has learned one, and cannot be told another")
            return Followed(_away(model, fields))


def _away(model: ImageModel, fields: ImageFields) -> float:
    """Of a model that follows prompts by itself, how far it is led away from another one."""
    if fields.negative_prompt is None and fields.true_cfg_scale is None:
        return 1.0
    if fields.negative_prompt is None:
        raise _refused("true_cfg_scale", "it leads away from a negative_prompt, which is missing")
    if fields.true_cfg_scale is None:
        raise _refused("negative_prompt", f"{model.name} is led away from it by true_cfg_scale (above 1, twice the work), which is missing")
    return fields.true_cfg_scale


def _refused(field: str, why: str) -> ApiError:
    return bad_request(field, f"{field}: {why}", "unsupported")
