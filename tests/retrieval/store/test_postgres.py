"""PostgreSQL, a real one: what only it does, and that it answers as SQLite does."""

import gzip
import json
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import product
from pathlib import Path

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from retrieval.api import Combine, Compare, DatabaseFault, Filter, KnowledgeError
from retrieval.records import NewMember, PageRequest, ScoredChunk
from retrieval.search.filters import matches
from retrieval.store import StoreOptions, open_store
from retrieval.store.api import Store
from retrieval.store.catalog import Catalog
from retrieval.store.postgres.database import Postgres
from retrieval.store.postgres.filters import condition
from retrieval.store.postgres.lexical import BOUNDS, MAX_TERM_COUNT, tsvector
from retrieval.store.schema import members
from tests.retrieval.filling import directions, fill, new_store, put
from tests.retrieval.postgres_server import PostgresServer

ROOT = Path(__file__).parents[3]
CRANFIELD = ROOT / "tests" / "data" / "cranfield"


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.schema()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = open_store(url, StoreOptions())
    yield opened
    opened.close()


def ask(url: str, query: str) -> list[tuple]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


# opening


def test_many_processes_may_open_an_empty_database_at_once(postgres: PostgresServer) -> None:
    url = postgres.database()
    with ThreadPoolExecutor(8) as threads:
        for opened in threads.map(lambda _: open_store(url, StoreOptions()), range(8)):
            opened.close()
    assert ask(url, "SELECT count(*) FROM facts") == [(1,)]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("postgresql://stoa:hush-hush@127.0.0.1:1/base", "Connection refused"),
        ("postgresql://stoa@127.0.0.1:1/base?password=hush-hush", "Connection refused"),
        ("postgres://stoa:hush-hush@127.0.0.1:1/base?nonsense=1", 'invalid connection option "nonsense"'),
        ("mysql://stoa:hush-hush@localhost/base", "'mysql' is not supported"),
        ("postgresql://stoa:hush-hush@localhost:many/base", "cannot be read"),
    ],
)
def test_a_wrong_url_is_explained_without_its_password(wrong: str, said: str) -> None:
    with pytest.raises(KnowledgeError) as caught:
        open_store(wrong, StoreOptions())
    fault = caught.value
    assert said in (fault.detail if isinstance(fault, DatabaseFault) else str(fault))
    assert "hush-hush" not in "".join(traceback.format_exception(caught.value))


def test_without_the_packages_it_says_which() -> None:
    code = "import sys; sys.modules['psycopg'] = None; from retrieval.store import *; open_store('postgresql://host/base', StoreOptions())"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "KnowledgeError: PostgreSQL needs the package psycopg: pip install 'stoa[postgres]'" in run.stderr


def test_no_such_database(postgres: PostgresServer) -> None:
    with pytest.raises(DatabaseFault) as caught:
        open_store(postgres.url("nowhere"), StoreOptions())
    assert 'database "nowhere" does not exist' in caught.value.detail


def test_pgvector_that_is_missing_or_too_old(postgres: PostgresServer) -> None:
    url = postgres.database()
    ask(url, "CREATE ROLE guest LOGIN")
    with pytest.raises(KnowledgeError, match=r"no pgvector .*permission denied.*CREATE EXTENSION vector"):
        open_store(url.replace("postgres@", "guest@"), StoreOptions())
    ask(url, "CREATE EXTENSION vector")
    ask(url, "UPDATE pg_extension SET extversion = '0.7.4' WHERE extname = 'vector'")
    with pytest.raises(KnowledgeError, match=r"pgvector 0\.7\.4, 0.8 or newer"):
        open_store(url, StoreOptions())


def test_what_a_newer_program_wrote_is_left_alone(store: Store, url: str) -> None:
    ask(url, "UPDATE facts SET value = '99' WHERE name = 'schema'")
    with pytest.raises(KnowledgeError, match="schema 99"):
        open_store(url, StoreOptions())


def test_lost_connections_are_replaced_and_a_lost_database_is_named(postgres: PostgresServer) -> None:
    url = postgres.database()
    name = url.partition("?")[0].rpartition("/")[2]
    with closing(open_store(url, StoreOptions())) as store:
        store_id = new_store(store)
        ask(url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'stoa' AND datname = '{name}'")
        assert store.store("", store_id).id == store_id
        ask(postgres.url(), f"DROP DATABASE {name} WITH (FORCE)")
        with pytest.raises(DatabaseFault, match=r"^the database does not answer now$"):
            new_store(store)


# words


def test_occurrences_survive_the_way_through_the_rank(store: Store, url: str) -> None:
    counted = list(range(1, MAX_TERM_COUNT + 20))
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT width_bucket(ts_rank('{1,1,1,1}', w::tsvector, $q$'7:x'$q$)::float8, %s::float8[]) FROM unnest(%s::text[]) AS w",
            [BOUNDS, [tsvector(7, ["y"] * 3 + ["x"] * n) for n in counted]],
        ).fetchall()
    assert [row[0] for row in found] == [min(n, MAX_TERM_COUNT) for n in counted]


def test_words_that_sql_or_tsquery_would_misread(store: Store, url: str) -> None:
    store_id, other = new_store(store), new_store(store)
    odd = ["O'Neil\\'s a:b", "back\\slash & (or) | !not <-> x:*", "null\0byte", "C++ 100% $1 :name %s"]
    for text in odd:
        fill(store, store_id, [text], filename=f"{text}\ud800.txt", attributes={"a\0b": f"{text}\udfff"})
        fill(store, other, ["something else"])
    for text, word in zip(odd, ("o'neil", "back\\slash", "null\0byte", "c++ :name %s"), strict=True):
        (best, *_) = store.lexical(store_id, word, 10)
        assert store.hits([best.chunk_id])[best.chunk_id][0].text[:4] == text[:4]
        assert not store.lexical(other, word, 10)


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_filters_mean_what_they_mean_in_python(filtered: Callable, data: st.DataObject) -> None:
    filter = data.draw(FILTERS)
    known, found = filtered(filter)
    assert found == {key for key, attributes in known.items() if matches(filter, attributes)}


KEYS = st.sampled_from(["a", "b", "missing", "q'uote\"", "sp ace"])
VALUES = st.one_of(
    st.booleans(),
    st.sampled_from([0.0, 1.0, -1.5, 1e300, 12345678901234.0]),
    st.sampled_from(["", "1", "true", "a", "B", "ä", "Z", "a'b", "😀", "\uffee"]),
)
COMPARES = st.one_of(
    st.builds(Compare, op=st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte"]), key=KEYS, value=VALUES),
    st.builds(Compare, op=st.sampled_from(["in", "nin"]), key=KEYS, value=st.lists(VALUES, max_size=3).map(tuple)),
)
FILTERS: st.SearchStrategy[Filter] = st.recursive(
    COMPARES, lambda of: st.builds(Combine, op=st.sampled_from(["and", "or"]), filters=st.lists(of, max_size=3).map(tuple)), max_leaves=5
)
ATTRIBUTES = [
    {},
    *(
        {key: value}
        for key in ("a", "q'uote\"")
        for value in (True, False, 0.0, 1.0, 2.0, -1.5, 1e300, "", "1", "true", "a", "b", "B", "ä", "a'b", "😀", "\uffff")
    ),
    {"a": 1.0, "b": "x"},
    {"sp ace": 3.0, "b": True},
]


@pytest.fixture(scope="module")
def filtered(postgres: PostgresServer) -> Iterator[Callable]:
    """Keys of members with their attributes, and those of them that a filter lets through."""
    dialect = Postgres(postgres.schema(), 1000)
    store = Catalog(dialect)
    store_id = new_store(store)
    for number, attributes in enumerate(ATTRIBUTES):
        store.add_members("", store_id, [NewMember(file_id=put(store, filename=f"{number}.txt"), attributes=dict(attributes))])

    def found(filter: Filter) -> tuple[dict, set[int]]:
        with dialect.reading() as tx:
            known = {row.key: row.attributes for row in tx.execute(select(members.c.key, members.c.attributes))}
            return known, set(tx.execute(select(members.c.key).where(condition(filter))).scalars())

    yield found
    store.close()


# the whole way


def test_hits_are_those_of_sqlite(store: Store, tmp_path: Path) -> None:
    with closing(open_store(tmp_path / "stoa.db", StoreOptions())) as other:
        ours, theirs = cranfield(store), cranfield(other)
        late = Compare(op="gte", key="number", value=15.0)
        filters = (None, late, Combine(op="and", filters=(late, Compare(op="eq", key="even", value=True))))
        queries = [row["text"] for row in rows("queries.jsonl")[:8]]
        for query, filter in product([*queries, "wing wing wing flow", "nowhere-to-be-found wing", "the of", ""], filters):
            vector = directions([query])[0]
            assert_same(store.lexical(ours, query, 20, filter), other.lexical(theirs, query, 20, filter))
            assert_same(store.dense(ours, vector, 20, filter), other.dense(theirs, vector, 20, filter))
        some = [found.chunk_id for found in store.dense(ours, directions(["wing"])[0], 50)]
        assert by_id(store, [*some, 10**9]) == by_id(other, [*some, 10**9])


def cranfield(store: Store) -> str:
    store_id = new_store(store)
    for number, document in enumerate(rows("corpus.jsonl")[:40]):
        parts = [part for part in document["text"].split(" . ") if part.strip()] or [document["title"]]
        fill(store, store_id, parts, filename=f"{number}.txt", attributes={"number": float(number), "even": number % 2 == 0})
    for member in store.members("", store_id, PageRequest(limit=1000)).items[::7]:
        store.remove_member("", store_id, member.file_id)
    return store_id


def by_id(store: Store, chunk_ids: list[int]) -> dict[int, list[float]]:
    ids, vectors = store.vectors(chunk_ids)
    assert 0 < len(ids) < len(chunk_ids)
    return {int(i): vector.tolist() for i, vector in zip(ids, vectors, strict=True)}


def rows(name: str) -> list[dict]:
    return [json.loads(line) for line in gzip.decompress((CRANFIELD / f"{name}.gz").read_bytes()).splitlines()]


def assert_same(mine: list[ScoredChunk], yours: list[ScoredChunk]) -> None:
    """Chunks of the same score may change places, also across the end of the list."""
    assert [found.score for found in mine] == pytest.approx([found.score for found in yours], abs=1e-5)
    floor = mine[-1].score + 1e-5 if mine else 0.0
    assert {found.chunk_id for found in mine if found.score > floor} == {found.chunk_id for found in yours if found.score > floor}
