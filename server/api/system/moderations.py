"""POST /v1/moderations: refused by name, as no model here classifies content. An answer that flags nothing would be a false one."""

from typing import Any

from pydantic import BaseModel

from server.core.errors import ApiError
from server.http.context import RequestContext
from server.http.endpoint import Endpoint
from server.http.fields import STRICT
from server.http.handlers import body_endpoint
from server.runtime.state import ServerState


class ModerationRequest(BaseModel):
    model_config = STRICT
    input: str | list[str] | list[dict[str, Any]]
    model: str | None = None


class ModerationResponse(BaseModel):
    """Part of the specification; never sent."""

    id: str
    model: str
    results: list[dict[str, Any]]


def endpoints(state: ServerState) -> list[Endpoint]:
    summary = "Refused: there is no model that classifies content"
    return [body_endpoint(state, create_moderation, "/v1/moderations", summary, ModerationRequest, ModerationResponse)]


async def create_moderation(context: RequestContext, body: ModerationRequest) -> ModerationResponse:
    raise ApiError(400, "this server has no model that classifies content: nothing is moderated", "model", "unsupported")
