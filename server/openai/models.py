"""GET /v1/models and /v1/models/{model}."""

from typing import Literal

from pydantic import BaseModel


class Model(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["stoa"] = "stoa"
    max_model_len: int  # extension: prompt and answer together, in tokens


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]
