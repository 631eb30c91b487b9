"""Answers lines of a batch until it is killed, and says of each when it is stored: python -m tests.server.archive.line_writer WHERE."""

import sys

from retrieval.store import StoreOptions, open_store
from server.archive.batches.records import LineResult, NewBatch, NewLine, TokenUsage
from server.archive.database import open_archive

LINES = 5_000


def main() -> None:
    archive = open_archive(open_store(sys.argv[1], StoreOptions()).transactions)
    given = {"endpoint": "/v1/responses", "completion_window": "24h", "lifetime": 86_400, "output_expires_after": None}
    batch = archive.create_batch(NewBatch(owner="", input_file_id="file-1", metadata={}, **given))  # pyright: ignore[reportArgumentType]
    assert archive.claim_batch("dead", 30) is not None
    archive.add_lines(batch.id, "dead", [NewLine(number=n, custom_id=f"{n}", body="{}") for n in range(1, LINES + 1)])
    archive.accept_batch(batch.id, "dead", None)
    assert archive.claim_batch("dead", 30) is not None
    after = 0
    while lines := archive.take_lines(batch.id, "dead", after, 4, tried=False):
        for line in lines:
            result = LineResult(number=line.number, succeeded=True, output=f"by dead {line.number}", usage=TokenUsage(input=2, output=1))
            archive.finish_line(batch.id, "dead", result)
            print(batch.id, line.number, flush=True)
        after = lines[-1].number


if __name__ == "__main__":
    main()
