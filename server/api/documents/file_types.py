"""Wire types of /v1/files."""

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, Field, WithJsonSchema

from server.http.fields import OMIT_NONE
from server.http.lists import QUERY, Id, ListObject, Order, QueryInt

Purpose = Literal["assistants", "batch", "fine-tune", "vision", "user_data"]  # without evals, which this server does not have
StoredPurpose = Literal[Purpose, "batch_output"]  # also of what this server has written


class FileForm(BaseModel):
    """The text fields of the upload form; aliases are their names in the form."""

    model_config = QUERY
    purpose: Purpose
    anchor: Literal["created_at"] | None = Field(default=None, alias="expires_after[anchor]")
    seconds: Annotated[QueryInt, Field(ge=3600, le=2_592_000)] | None = Field(default=None, alias="expires_after[seconds]")


class FilesQuery(BaseModel):
    model_config = QUERY
    purpose: StoredPurpose | None = None
    limit: Annotated[QueryInt, Field(ge=1, le=10_000)] = 10_000
    order: Order = "desc"
    after: Id | None = None


class FileObject(BaseModel):
    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: Annotated[int | None, OMIT_NONE]
    filename: str
    purpose: Annotated[str, WithJsonSchema({"enum": list(get_args(StoredPurpose))})]
    status: Literal["processed"] = "processed"
    status_details: Annotated[str | None, OMIT_NONE] = None


class FileList(ListObject[FileObject]):
    pass


class FileDeleted(BaseModel):
    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True
