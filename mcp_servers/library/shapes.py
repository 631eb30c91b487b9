"""Result types of the knowledge base tools."""

from pydantic import BaseModel, ConfigDict, Field

Value = str | int | float | bool


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FoundPassage(Shape):
    store: str
    file_id: str
    filename: str
    passage: int = Field(description="Its number in the document, for read_passage")
    score: float
    text: str
    start: int = Field(description="Its first character in the document")
    end: int
    page: int | None = None
    start_seconds: float | None = None  # of a recording
    end_seconds: float | None = None
    picture: str | None = None  # its media type, where the passage stands for one
    headings: list[str] = Field(default_factory=list)
    attributes: dict[str, Value] = Field(default_factory=dict)
    uri: str


class Found(Shape):
    passages: list[FoundPassage]


class Passage(Shape):
    store: str
    file_id: str
    filename: str
    text: str
    start: int
    end: int
    total: int = Field(description="Characters of the whole document")
    uri: str


class Document(Shape):
    file_id: str
    filename: str
    state: str = Field(description="Only what is ready can be searched")
    bytes: int
    attributes: dict[str, Value] = Field(default_factory=dict)
    uri: str


class Documents(Shape):
    store: str
    documents: list[Document]
    next_cursor: str | None = None


class StoreInfo(Shape):
    id: str
    name: str
    description: str | None = None
    documents: int = Field(description="Those that are ready")


class Stores(Shape):
    stores: list[StoreInfo]
    truncated: bool = False
