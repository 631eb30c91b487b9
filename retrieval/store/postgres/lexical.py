"""BM25 in PostgreSQL: the GIN index gives the chunks that contain a word, the tsvector positions its term frequency. No state is
kept in the process, so any number of servers may share a database.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from sqlalchemy import Connection, select, text

from retrieval.records import ScoredChunk
from retrieval.search.lexical import K1, B, query_terms
from retrieval.store.postgres.tables import store_sizes

MAX_TERM_COUNT = 100  # cap on the term frequency; BM25 saturates well below it

# ts_rank of a single word that occurs n times is the sum of 1/i² for i = 1..n, divided by pi²/6 (calc_rank_or in PostgreSQL's
# tsrank.c; all weights 1). It is used to get n because other functions unnest the whole tsvector, which takes twenty times as
# long. BOUNDS are the midpoints between consecutive ranks, so that width_bucket returns n.
_RANKS = np.cumsum(1 / np.arange(1, MAX_TERM_COUNT + 1) ** 2) / (np.pi**2 / 6)
BOUNDS: list[float] = ((_RANKS + np.concatenate([[0.0], _RANKS[:-1]])) / 2).tolist()

BEST = text("""
WITH asked AS MATERIALIZED (
  SELECT n, times, skipped FROM unnest(CAST(:times AS float8[]), CAST(:skipped AS float8[])) WITH ORDINALITY AS given(times, skipped, n)
), spelt AS MATERIALIZED (
  SELECT n, CAST(lexeme AS tsquery) AS lexeme FROM unnest(CAST(:terms AS bigint[]), CAST(:lexemes AS text[])) AS given(n, lexeme)
), found AS MATERIALIZED (
  SELECT n, chunk_id, length, max(width_bucket(CAST(ts_rank('{1,1,1,1}', words, lexeme) AS float8), CAST(:bounds AS float8[]))) AS tf
  FROM spelt JOIN chunk_words ON words @@ lexeme GROUP BY n, chunk_id, length
), worth AS MATERIALIZED (
  SELECT n, times * ln(1 + (CAST(:chunks AS float8) - df + 0.5) / (df + 0.5)) AS idf
  FROM asked CROSS JOIN LATERAL (SELECT skipped + CAST(count(*) AS float8) AS df FROM found WHERE found.n = asked.n) AS counted
)
SELECT chunk_id, sum(idf * tf / (tf + CAST(:fixed AS float8) + CAST(:by_length AS float8) * length)) / (SELECT sum(idf) FROM worth) AS score
FROM found JOIN worth USING (n)
WHERE CAST(:members AS bigint[]) IS NULL OR chunk_id IN (SELECT id FROM chunks WHERE member_key = ANY(CAST(:members AS bigint[])))
GROUP BY chunk_id ORDER BY score DESC, chunk_id LIMIT :limit
""")


def tsvector(store_key: int, words: Iterable[str]) -> str:
    counts = Counter(words)
    return " ".join(f"{_lexeme(store_key, word)}:{','.join(map(str, range(1, min(n, MAX_TERM_COUNT) + 1)))}" for word, n in counts.items())


def lexical(tx: Connection, store_key: int, query: str, limit: int, members: Sequence[int] | None) -> list[ScoredChunk]:
    """`members`: keys of the members to search; None: the whole store."""
    sizes = tx.execute(select(store_sizes).where(store_sizes.c.store_key == store_key)).all()
    chunks, words = sum(size.chunks for size in sizes), sum(size.words for size in sizes)
    wanted = query_terms(query, {size.language: size.chunks for size in sizes if size.chunks})
    if not chunks or not wanted:
        return []
    spelt = [(n, _lexeme(store_key, spelling)) for n, term in enumerate(wanted, 1) for spelling in term.spellings]
    asked = {
        "times": [float(term.count) for term in wanted],
        "skipped": [float(term.skipped) for term in wanted],
        "terms": [n for n, _ in spelt],
        "lexemes": [lexeme for _, lexeme in spelt],
    }
    average = max(words / chunks, 1.0)
    known = {"chunks": float(chunks), "bounds": BOUNDS, "fixed": K1 * (1 - B), "by_length": K1 * B / average}
    rows = tx.execute(BEST, {**asked, **known, "members": members, "limit": limit})
    return [ScoredChunk(chunk_id=row.chunk_id, score=row.score) for row in rows]


def _lexeme(store_key: int, word: str) -> str:
    """The lexeme quoted for both tsvector and tsquery input."""
    return "'" + f"{store_key}:{word}".replace("\\", "\\\\").replace("'", "''") + "'"
