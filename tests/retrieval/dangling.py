"""Whether all that lies in a SQLite knowledge base belongs together."""

from pathlib import Path

from retrieval.store.sqlite.database import SQLite


def dangling(path: Path) -> list[tuple[str, int]]:
    """What refers to nothing, or is referred to by nothing."""
    dialect = SQLite(path, 10**9)
    queries = {
        "words": "SELECT rowid FROM words WHERE rowid NOT IN (SELECT id FROM chunks)",
        "entries": "SELECT chunk_id FROM entries WHERE chunk_id NOT IN (SELECT id FROM chunks)",
        "chunks without words": "SELECT id FROM chunks WHERE id NOT IN (SELECT rowid FROM words)",
        "chunks without vectors": "SELECT id FROM chunks WHERE id NOT IN (SELECT chunk_id FROM entries)",
        "pictures": "SELECT id FROM chunks WHERE picture IS NOT NULL AND id NOT IN (SELECT chunk_id FROM pictures)",
        "pictures without vectors": "SELECT chunk_id FROM pictures WHERE chunk_id NOT IN (SELECT chunk_id FROM picture_vectors)",
        "vectors without pictures": "SELECT chunk_id FROM picture_vectors WHERE chunk_id NOT IN (SELECT chunk_id FROM pictures)",
        "occurrences": "SELECT DISTINCT doc FROM occurrences WHERE doc NOT IN (SELECT id FROM chunks)",
        "chunks without members": "SELECT id FROM chunks WHERE member_key NOT IN (SELECT key FROM members)",
        "documents": "SELECT member_key FROM documents WHERE member_key NOT IN (SELECT key FROM members)",
        "members": "SELECT key FROM members WHERE file_id NOT IN (SELECT id FROM files)",
    }
    try:
        with dialect.reading() as tx:
            wrong = [(name, row[0]) for name, query in queries.items() for row in tx.exec_driver_sql(query)]
            assert tx.exec_driver_sql("PRAGMA foreign_key_check").all() == []
        with dialect.writing() as tx:
            tx.exec_driver_sql("INSERT INTO words (words) VALUES ('integrity-check')")
            return wrong
    finally:
        dialect.close()
