"""Writes into an archive until it is killed, and says of each write when it is done: python -m tests.server.archive_writer PATH."""

import sys
from itertools import count

from retrieval.store import StoreOptions, open_store
from server.archive.api import Archive, StoredCompletion, StoredResponse
from server.archive.database import open_archive


def write(archive: Archive, number: int) -> str:
    """A conversation with a response in the background and its events, and a chat completion: all named by `number`."""
    conversation = archive.create_conversation("", {}, [{"id": f"msg_{number}"}]).id
    given = {"owner": "", "created_at": number, "body": {"n": number}}
    id = f"resp_{number}"
    asked = StoredResponse(id=id, status="queued", background=True, previous=None, conversation=conversation, input=[], **given)
    archive.put_response(asked, [{"id": f"in_{number}"}])
    archive.append_events(id, 0, ["{}", "{}"])
    assert archive.finish_response("", id, "completed", {"n": number, "done": True}, [{"id": f"out_{number}"}])
    archive.put_completion(StoredCompletion(id=f"chatcmpl_{number}", model="m", metadata={"n": str(number)}, messages=[], **given))
    return conversation


def main() -> None:
    archive = open_archive(open_store(sys.argv[1], StoreOptions()).transactions)
    for number in count(int(sys.argv[2])):
        print(number, write(archive, number), flush=True)


if __name__ == "__main__":
    main()
