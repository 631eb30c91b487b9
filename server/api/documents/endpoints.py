"""The endpoints of the knowledge base: files, vector stores, their files, batches and chunks."""

from dataclasses import replace

from server.api.documents import file_types as file_wire
from server.api.documents import files, pictures, store_files, vector_stores
from server.api.documents import store_file_types as member_wire
from server.api.documents import vector_store_types as wire
from server.http.endpoint import Endpoint
from server.http.handlers import body_endpoint, download_endpoint, query_endpoint
from server.http.lists import ListQuery, NoQuery
from server.runtime.state import ServerState

FILES, FILE = "/v1/files", "/v1/files/{file_id}"
STORES, STORE = "/v1/vector_stores", "/v1/vector_stores/{vector_store_id}"
MEMBERS, MEMBER = f"{STORE}/files", f"{STORE}/files/{{file_id}}"
BATCH = f"{STORE}/file_batches/{{batch_id}}"


def endpoints(state: ServerState) -> list[Endpoint]:
    found = [*_files(state), *_stores(state), *_members(state), *_batches(state), *_passages(state)]
    return [replace(endpoint, errors=(*endpoint.errors, 403)) if _may_be_forbidden(endpoint) else endpoint for endpoint in found]


def _may_be_forbidden(endpoint: Endpoint) -> bool:
    """Whether it changes something that may belong to the operator."""
    return endpoint.method != "GET" and bool(endpoint.parameters) and not endpoint.path.endswith("/search")


def _files(state: ServerState) -> list[Endpoint]:
    shape, gone = file_wire.FileObject, file_wire.FileDeleted
    return [
        files.upload_endpoint(state, FILES),
        query_endpoint(state, "GET", files.list_files, FILES, "The files", file_wire.FilesQuery, file_wire.FileList),
        query_endpoint(state, "GET", files.get_file, FILE, "One file", NoQuery, shape),
        query_endpoint(state, "DELETE", files.delete_file, FILE, "Delete a file, also from every vector store", NoQuery, gone),
        download_endpoint(state, files.download_file, f"{FILE}/content", "What was uploaded"),
    ]


def _stores(state: ServerState) -> list[Endpoint]:
    shape, gone = wire.VectorStoreObject, wire.VectorStoreDeleted
    found = "Passages that answer a query, best first"
    return [
        body_endpoint(state, vector_stores.create_store, STORES, "Make a vector store", wire.CreateVectorStore, shape),
        query_endpoint(state, "GET", vector_stores.list_stores, STORES, "The vector stores", ListQuery, wire.VectorStoreList),
        query_endpoint(state, "GET", vector_stores.get_store, STORE, "One vector store", NoQuery, shape),
        body_endpoint(state, vector_stores.update_store, STORE, "Change a vector store", wire.UpdateVectorStore, shape),
        query_endpoint(state, "DELETE", vector_stores.delete_store, STORE, "Delete a vector store; its files stay", NoQuery, gone),
        body_endpoint(state, vector_stores.search_store, f"{STORE}/search", found, wire.SearchRequest, wire.SearchResults),
    ]


def _members(state: ServerState) -> list[Endpoint]:
    shape, gone = member_wire.StoreFile, member_wire.StoreFileDeleted
    listed, text = member_wire.StoreFilesQuery, member_wire.StoreFileContent
    return [
        body_endpoint(state, store_files.add_store_file, MEMBERS, "Add a file to a vector store", member_wire.CreateStoreFile, shape),
        query_endpoint(
            state, "GET", store_files.list_store_files, MEMBERS, "The files of a vector store", listed, member_wire.StoreFileList
        ),
        query_endpoint(state, "GET", store_files.get_store_file, MEMBER, "One file of a vector store", NoQuery, shape),
        body_endpoint(state, store_files.update_store_file, MEMBER, "Change its attributes", member_wire.UpdateStoreFile, shape),
        query_endpoint(
            state, "DELETE", store_files.remove_store_file, MEMBER, "Take a file out of a vector store; it stays a file", NoQuery, gone
        ),
        query_endpoint(state, "GET", store_files.get_content, f"{MEMBER}/content", "Its parsed text", NoQuery, text),
    ]


def _batches(state: ServerState) -> list[Endpoint]:
    shape, body = member_wire.FileBatch, member_wire.CreateFileBatch
    listed = member_wire.StoreFilesQuery
    return [
        body_endpoint(state, store_files.create_batch, f"{STORE}/file_batches", "Add files to a vector store", body, shape),
        query_endpoint(state, "GET", store_files.get_batch, BATCH, "How a batch is doing", NoQuery, shape),
        query_endpoint(state, "POST", store_files.cancel_batch, f"{BATCH}/cancel", "Stop what is not yet done of a batch", NoQuery, shape),
        query_endpoint(
            state, "GET", store_files.list_batch_files, f"{BATCH}/files", "The files of a batch", listed, member_wire.StoreFileList
        ),
    ]


def _passages(state: ServerState) -> list[Endpoint]:
    """Extensions: the chunk and the passage that a citation refers to."""
    chunk, passage = member_wire.ChunkObject, member_wire.StoreFileText
    return [
        download_endpoint(state, pictures.download_picture, f"{STORE}/chunks/{{chunk_id}}/picture", "The picture that a chunk stands for"),
        query_endpoint(state, "GET", store_files.get_chunk, f"{STORE}/chunks/{{chunk_id}}", "A chunk where it stands", NoQuery, chunk),
        query_endpoint(
            state, "GET", store_files.get_passage, f"{MEMBER}/text", "A passage of its parsed text", member_wire.TextQuery, passage
        ),
    ]
