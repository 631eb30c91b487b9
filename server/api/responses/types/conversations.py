"""/v1/conversations. Their items are those of responses."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, RootModel

from server.api.responses.types.items import InputItem
from server.api.responses.types.output import Resource
from server.api.responses.types.request import Included
from server.http.fields import STRICT
from server.http.lists import QUERY, Metadata


class CreateConversation(BaseModel):
    model_config = STRICT
    metadata: Metadata | None = None
    items: Annotated[list[InputItem], Field(max_length=20)] | None = None


class UpdateConversation(BaseModel):
    """Null empties it."""

    model_config = STRICT
    metadata: Metadata | None


class AddItems(BaseModel):
    model_config = STRICT
    items: Annotated[list[InputItem], Field(min_length=1, max_length=20)]


class ItemQuery(BaseModel):
    model_config = QUERY
    include: Included | None = None


class Conversation(BaseModel):
    id: str
    object: Literal["conversation"] = "conversation"
    created_at: int
    metadata: dict[str, str]


class ConversationDeleted(BaseModel):
    id: str
    object: Literal["conversation.deleted"] = "conversation.deleted"
    deleted: Literal[True] = True


class Item(RootModel[Resource]):
    """One of them by itself."""


class Items(BaseModel):
    object: Literal["list"] = "list"
    data: list[Resource]
    first_id: str  # "" where there are none
    last_id: str
    has_more: bool
