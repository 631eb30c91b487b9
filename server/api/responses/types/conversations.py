"""Wire types of /v1/conversations. Its items have the types of responses' items."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, RootModel

from server.api.responses.types.input_items import InputItem
from server.api.responses.types.output_items import StoredItem
from server.api.responses.types.request import IncludeQuery
from server.http.fields import STRICT
from server.http.lists import QUERY, ListObject, Metadata


class CreateConversation(BaseModel):
    model_config = STRICT
    metadata: Metadata | None = None
    items: Annotated[list[InputItem], Field(max_length=20)] | None = None


class UpdateConversation(BaseModel):
    """`metadata` null: removes all of it."""

    model_config = STRICT
    metadata: Metadata | None


class AddItems(BaseModel):
    model_config = STRICT
    items: Annotated[list[InputItem], Field(min_length=1, max_length=20)]


class ItemQuery(BaseModel):
    model_config = QUERY
    include: IncludeQuery | None = None


class Conversation(BaseModel):
    id: str
    object: Literal["conversation"] = "conversation"
    created_at: int
    metadata: dict[str, str]


class ConversationList(ListObject[Conversation]):
    """Extension: OpenAI lists none."""


class ConversationDeleted(BaseModel):
    id: str
    object: Literal["conversation.deleted"] = "conversation.deleted"
    deleted: Literal[True] = True


class Item(RootModel[StoredItem]):
    """A single item as a response body."""


class Items(ListObject[StoredItem]):
    pass
