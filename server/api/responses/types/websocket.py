"""Wire types of the WebSocket mode of /v1/responses."""

from typing import Annotated, Literal

from pydantic import StringConstraints

from server.api.common.unsupported import supports_only
from server.api.responses.types.request import ResponseRequest


class ResponseCreate(ResponseRequest):
    """`stream_id`: comes back with each event. Responses of one connection are made one after the other, whatever their stream_id.
    `generate` false: the prompt is prepared and nothing generated."""

    type: Literal["response.create"]
    stream_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,256}$")] | None = None
    generate: bool | None = None
    stream: Annotated[bool | None, supports_only(True)] = None
    background: Annotated[bool | None, supports_only(False)] = None
