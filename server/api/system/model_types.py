"""GET /v1/models, /v1/models/{model}, /health, /ready."""

from typing import Literal

from pydantic import BaseModel


class Model(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["stoa"] = "stoa"
    max_model_len: int | None  # extension: what it reads at once (prompt and answer together, where it answers), in tokens


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


class Version(BaseModel):
    """GET /version."""

    version: str


class Health(BaseModel):
    """GET /health, /ping and /ready."""

    status: str
    reason: str | None = None
