"""Adds parts to an upload until it is killed, and says of each when it is stored: python -m tests.server.archive.part_writer WHERE."""

import sys
from itertools import count

from retrieval.store import StoreOptions, open_store
from server.archive.database import open_archive
from server.archive.uploads.records import NewUpload

SIZE = 3 << 19  # bytes: two rows of the database


def main() -> None:
    archive = open_archive(open_store(sys.argv[1], StoreOptions()).transactions)
    new = NewUpload(owner="", filename="a.bin", purpose="user_data", bytes=1 << 40, lifetime=3600, file_expires_after=None)
    upload = archive.create_upload(new).id
    for number in count():
        print(upload, archive.add_part("", upload, [bytes([number % 256]) * SIZE]).id, flush=True)


if __name__ == "__main__":
    main()
