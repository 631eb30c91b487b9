"""GET /v1/models, /v1/models/{model}, /health, /ready."""

from typing import Literal

from pydantic import BaseModel

Modality = Literal["text", "image", "audio", "embeddings", "scores"]


class Sampling(BaseModel):
    temperature: float
    top_p: float
    top_k: int  # 0: all tokens
    min_p: float
    repetition_penalty: float


class Model(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["stoa"] = "stoa"
    max_model_len: int | None  # extension: what it reads at once (prompt and answer together, where it answers), in tokens
    input_modalities: list[Modality]  # extensions, in OpenRouter's words
    output_modalities: list[Modality]
    sampling: Sampling | None = None  # extension: how tokens are chosen where a request says nothing; None: it writes none


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
