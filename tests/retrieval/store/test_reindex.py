"""A word index in several languages, and one that an older version made."""

from collections.abc import Callable

import numpy as np
import pytest

from retrieval.store.api import Store
from retrieval.store.catalog import Catalog
from tests.retrieval.filling import fill, new_store
from tests.retrieval.languages import TEXTS

GERMAN = [
    "Die Kündigungsfristen sind im Vertrag geregelt und können von den Parteien nicht geändert werden.",
    "Der Versand der Waren erfolgt auf Kosten des Käufers, wenn nichts anderes vereinbart wurde.",
]
ENGLISH = ["The war was over when the treaty was signed by all of the parties.", "The goods are sent at the cost of the buyer."]


def first(store: Store, store_id: str, query: str) -> str:
    found = store.lexical(store_id, query, 5)
    return store.hits([found[0].chunk_id])[found[0].chunk_id][0].text if found else ""


def test_each_document_is_found_in_its_own_language(store: Store) -> None:
    store_id = new_store(store)
    for number, texts in enumerate((GERMAN, ENGLISH, [TEXTS["Russian"][1]], [TEXTS["Spanish"][1]])):
        fill(store, store_id, texts, filename=f"{number}.txt")
    assert first(store, store_id, "Kündigungsfrist") == GERMAN[0]
    assert first(store, store_id, "was kostet der Käufer") == GERMAN[1]
    assert first(store, store_id, "the parties of a treaty") == ENGLISH[0]
    assert first(store, store_id, "суды отменили решения") == TEXTS["Russian"][1]
    assert first(store, store_id, "compañias") == TEXTS["Spanish"][1]


def test_removed_documents_take_their_language_with_them(store: Store) -> None:
    store_id = new_store(store)
    fill(store, store_id, ENGLISH, filename="en.txt")
    before = store.lexical(store_id, "the buyer was there", 5)
    german = fill(store, store_id, GERMAN, filename="de.txt")
    store.remove_member("", store_id, german)
    after = store.lexical(store_id, "the buyer was there", 5)
    assert [found.score for found in after] == pytest.approx([found.score for found in before])


def test_an_older_index_is_made_anew(opener: Callable[[], Store], where: str) -> None:
    store = opener()
    store_id = new_store(store)
    fill(store, store_id, GERMAN, filename="de.txt")
    fill(store, store_id, ["Part PPR-9087 is a bracket."], filename="part.txt")
    expected = store.lexical(store_id, "Kündigungsfrist PPR9087", 5)
    assert isinstance(store, Catalog)
    with store.transactions.writing() as tx:
        tx.exec_driver_sql("UPDATE facts SET value = '1' WHERE name = 'schema'")
        for statement in NEWER + OLDER["postgresql" if "://" in where else "sqlite"]:
            tx.exec_driver_sql(statement)
    store.close()
    again = opener()
    assert again.lexical(store_id, "Kündigungsfrist PPR9087", 5) == expected
    assert len(expected) == 2
    again.close()
    assert opener().lexical(store_id, "Kündigungsfrist PPR9087", 5) == expected


def test_a_store_without_pictures_and_times_gets_them(opener: Callable[[], Store]) -> None:
    store = opener()
    store_id = new_store(store)
    file_id = fill(store, store_id, ENGLISH, filename="en.txt")
    before = store.chunks_of("", store_id, file_id)
    assert isinstance(store, Catalog)
    with store.transactions.writing() as tx:
        for statement in ("UPDATE facts SET value = '2' WHERE name = 'schema'", *NEWER):
            tx.exec_driver_sql(statement)
    store.close()
    again = opener()
    assert again.chunks_of("", store_id, file_id) == before
    assert again.pictures(store_id, np.ones(4, np.float32), 5) == []


NEWER = (  # what later versions have added
    "DROP TABLE picture_vectors",
    "DROP TABLE pictures",
    "ALTER TABLE stores DROP COLUMN picture_identity",
    *(f"ALTER TABLE chunks DROP COLUMN {name}" for name in ("start_seconds", "end_seconds", "picture")),
)
OLDER = {
    "sqlite": ("ALTER TABLE entries DROP COLUMN language", "DELETE FROM words", "UPDATE entries SET words = 1"),
    "postgresql": (
        "ALTER TABLE chunk_words DROP COLUMN language",
        "TRUNCATE chunk_words",
        "ALTER TABLE store_sizes DROP COLUMN language",
    ),
}
