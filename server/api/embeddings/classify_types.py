"""Wire types of POST /v1/classify: an extension, in the format of vLLM, with images and labels of the request's own."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from server.api.embeddings.types import EmbeddingUsage, Part, Text
from server.http.fields import STRICT

Items = Annotated[list[Text | Part], Field(min_length=1, max_length=256)]
Labels = Annotated[list[Text], Field(min_length=1, max_length=1000)]


class ClassifyRequest(BaseModel):
    """`labels`: texts that describe the classes of images, for a model that reads both; a classifier has its own."""

    model_config = STRICT
    model: str | None = None
    input: Text | Items
    labels: Labels | None = None


class Classification(BaseModel):
    """`probs`: of the classes in the order of `labels`."""

    index: int
    label: str  # the most probable
    probs: list[float]
    num_classes: int


class ClassifyResponse(BaseModel):
    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[Classification]
    labels: list[str]  # extension: the names of all classes
    usage: EmbeddingUsage
