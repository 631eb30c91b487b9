"""POST /v1/architectures: what an architecture is in numbers, as `stoa arch --json` tells it, of a model that is served here or of a
config.json that may be of none. An extension."""

from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, Field

from models.describe import Description, describe
from models.families import arch_of
from server.core.errors import ApiError, bad_request, model_not_found
from server.core.threads import in_thread
from server.http.context import RequestContext
from server.http.endpoint import Endpoint
from server.http.fields import STRICT
from server.http.handlers import body_endpoint
from server.runtime.state import ServerState
from server.weights.cache import PullError
from server.weights.config import model_config
from server.weights.progress import no_progress

MAX_LAYERS = 1024  # time and the answer grow with their number
MAX_NUMBER = 2**40
NOT_READABLE = (ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError, AssertionError)  # of who wrote the config


class ArchitectureRequest(BaseModel):
    """Either a model or a config."""

    model_config = STRICT
    model: str | None = None
    config: dict[str, Any] | None = None
    context: Annotated[int, Field(ge=1, le=2**31)] | None = None  # tokens; null: the checkpoint's own
    bytes_per_number: Literal[1, 2, 4] = 2  # in the caches


class Architecture(BaseModel):
    object: Literal["architecture"] = "architecture"
    architecture: str
    description: Description


def endpoints(state: ServerState) -> list[Endpoint]:
    summary = "An architecture in numbers: parameters, FLOPs, what each layer sees and remembers"
    return [body_endpoint(state, partial(tell, state), "/v1/architectures", summary, ArchitectureRequest, Architecture)]


async def tell(state: ServerState, context: RequestContext, body: ArchitectureRequest) -> Architecture:
    """Raises ApiError."""
    if (body.model is None) == (body.config is None):
        raise bad_request("model", "model, config: give one of the two")
    config = body.config if body.config is not None else await in_thread(_config_of, state, str(body.model))
    return await in_thread(_described, config, body)


def _config_of(state: ServerState, model: str) -> dict[str, Any]:
    served = state.settings.models
    name = state.settings.aliases.get(model, model)
    if name not in served:
        raise model_not_found(model, [*served])
    try:
        return model_config(served[name], no_progress)
    except (PullError, ValueError, OSError) as error:
        raise ApiError(404, f"there is no config.json of {model} here: {error}", "model", "not_found") from error


def _described(config: dict[str, Any], body: ArchitectureRequest) -> Architecture:
    if any(number > MAX_NUMBER or ("layers" in name and number > MAX_LAYERS) for name, number in _numbers(config)):
        raise bad_request("config", f"config: it has more than {MAX_LAYERS} layers, or a number above {MAX_NUMBER}", "too_large")
    try:
        description = describe(arch_of(config), context=body.context, bytes_per_number=body.bytes_per_number)
        return Architecture(architecture=config["architectures"][0], description=description)
    except NOT_READABLE as error:
        told = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise bad_request("config" if body.model is None else "model", f"config: {told}", "unknown_architecture") from error


def _numbers(value: object, name: str = "") -> Iterator[tuple[str, float]]:
    """All numbers of a JSON value, with the fields that they are in."""
    if isinstance(value, dict):
        for key, inner in cast(dict[str, object], value).items():
            yield from _numbers(inner, key)
    elif isinstance(value, list):
        for inner in cast(list[object], value):
            yield from _numbers(inner, name)
    elif isinstance(value, int | float):
        yield name, value
