"""POST /v1/architectures/inspect: what a served model does with a short text: what its tokens look at, and which experts compute them. An
extension, of engines in this process."""

from typing import Annotated, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, Field

from engine.api import MAX_INSPECTED, Engine, Inspection, Inspector
from server.core.errors import ErrorFields, bad_request, engine_errors_as_api_errors
from server.http.context import RequestContext
from server.http.endpoint import Endpoint
from server.http.fields import STRICT
from server.http.handlers import body_endpoint
from server.runtime.state import ServerState

DIGITS = 4  # of shares
MAX_CHARACTERS = 4000
OTHERS = "model: another process computes it, which does not tell what its layers do; --engine embedded does"
BLAME = ErrorFields(prompt="input", grammar="input")


class InspectRequest(BaseModel):
    model_config = STRICT
    model: str | None = None
    input: Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS)]  # at most MAX_INSPECTED tokens
    layer: Annotated[int, Field(ge=0)] | None = None  # null: the first whose attention can be told
    head: Annotated[int, Field(ge=0)] = 0


class InspectedToken(BaseModel):
    id: int
    text: str


class InspectedLayer(BaseModel):
    layer: int
    heads: int


class InspectedAttention(BaseModel):
    """weights: for each token, what share it gives each token. They sum to less than 1 where a sink takes the rest."""

    layer: int
    head: int
    weights: list[list[float]]


class InspectedExperts(BaseModel):
    """Of one layer: for each token the experts that compute it, and what each counts."""

    layer: int
    experts: int
    chosen: list[list[int]]
    weights: list[list[float]]


class InspectedText(BaseModel):
    """layers: those whose attention can be told. attention: null where none can."""

    object: Literal["architecture.inspection"] = "architecture.inspection"
    model: str
    tokens: list[InspectedToken]
    layers: list[InspectedLayer]
    attention: InspectedAttention | None
    experts: list[InspectedExperts]


@runtime_checkable
class _Wrapping(Protocol):
    @property
    def engine(self) -> Engine: ...


def endpoints(state: ServerState) -> list[Endpoint]:
    summary = "What a served model does with a short text: attention weights of a head, and the experts that were chosen"
    return [body_endpoint(state, inspect, "/v1/architectures/inspect", summary, InspectRequest, InspectedText)]


async def inspect(context: RequestContext, body: InspectRequest) -> InspectedText:
    """Raises ApiError."""
    runtime = context.runtime
    runtime.expect_model(body.model)
    inspector = _inspector(runtime.engine)
    tokens = runtime.tokenizer.encode(body.input, parse_special=False, add_special=True)
    if len(tokens) > MAX_INSPECTED:
        raise bad_request("input", f"input: it has {len(tokens)} tokens; at most {MAX_INSPECTED} are inspected", "too_large")
    with engine_errors_as_api_errors(BLAME):
        found = await inspector.inspect(tokens, body.layer)
    names = runtime.tokenizer.token_bytes
    return InspectedText(
        model=runtime.names[0],
        tokens=[InspectedToken(id=token, text=names[token].decode(errors="replace")) for token in tokens],
        layers=[InspectedLayer(layer=layer, heads=heads) for layer, heads in found.heads.items()],
        attention=_attention(found, body.head),
        experts=[
            InspectedExperts(layer=layer, experts=told.experts, chosen=told.chosen.tolist(), weights=told.weights.round(DIGITS).tolist())
            for layer, told in found.experts.items()
        ],
    )


def _attention(found: Inspection, head: int) -> InspectedAttention | None:
    """Raises ApiError."""
    if found.layer is None or found.attention is None:
        return None
    if head >= len(found.attention):
        raise bad_request("head", f"head: layer {found.layer} has {len(found.attention)} heads, counted from 0", "out_of_range")
    shares = [[round(share, DIGITS) for share in row] for row in found.attention[head].tolist()]
    return InspectedAttention(layer=found.layer, head=head, weights=shares)


def _inspector(engine: Engine) -> Inspector:
    """The engine inside those that change or trace requests. Raises ApiError."""
    while isinstance(engine, _Wrapping) and not isinstance(engine, Inspector):
        engine = engine.engine
    if not isinstance(engine, Inspector):
        raise bad_request("model", OTHERS, "unsupported")
    return engine
