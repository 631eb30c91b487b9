"""Wire types of POST /v1/embeddings."""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, Field

from server.api.common.hints import WHO
from server.http.fields import STRICT, TokenId

Many = Field(min_length=1, max_length=2048)
Tokens = Annotated[list[TokenId], Many]
Text = Annotated[str, Field(min_length=1)]  # an empty text has no vector


class TextPart(BaseModel):
    model_config = STRICT
    type: Literal["text"]
    text: Text


class ImageUrl(BaseModel):
    model_config = STRICT
    url: Annotated[str, Field(min_length=1)]  # a data URL


class ImagePart(BaseModel):
    """As in the messages of a chat."""

    model_config = STRICT
    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]
Input = Text | Tokens | Annotated[list[Text], Many] | Annotated[list[Tokens], Many] | Annotated[list[Text | Part], Many]


class EmbeddingRequest(BaseModel):
    model_config = STRICT
    MAX_VALUES: ClassVar[int] = 300_000  # token ids are many, and parsed quickly
    model: str
    input: Input
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1, lt=2**31)] | None = None  # the first components, normalized again
    user: Annotated[str | None, WHO] = None
    # extensions
    input_type: Literal["query", "document"] | None = None  # adds the model's prompt for it, where it has one
    truncate: bool | None = None  # cuts off what exceeds the model's input; otherwise refused


class Embedding(BaseModel):
    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str  # base64: little-endian float32


class EmbeddingUsage(BaseModel):
    prompt_tokens: int
    total_tokens: int


class EmbeddingResponse(BaseModel):
    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage
