"""A search: from the wire to the retriever and back."""

from retrieval.api import Combine, Compare, Filter, Hit, Search, Weights
from server.api.common import filter_types as wire
from server.core.errors import bad_request

DEPTH = 8  # of filters in filters
COMPARISONS = 256  # of one filter in all


def to_filter(given: wire.Filter | None, field: str) -> Filter | None:
    """Raises ApiError that names `field` or what is in it."""
    if given is None:
        return None
    found = _filter(given, field, DEPTH)
    if _size(found) > COMPARISONS:
        raise bad_request(field, f"{field}: more than {COMPARISONS} comparisons", "too_large")
    return found


def to_weights(options: wire.RankingOptions | None, field: str) -> Weights | None:
    if options is None or options.hybrid_search is None:
        return None
    given = options.hybrid_search
    if given.embedding_weight == given.text_weight == 0:
        raise bad_request(f"{field}.hybrid_search", f"{field}.hybrid_search: one of embedding_weight and text_weight must be more than 0")
    return Weights(embedding=given.embedding_weight, text=given.text_weight)


def to_search(
    queries: tuple[str, ...],
    stores: tuple[str, ...],
    *,
    limit: int,
    filters: wire.Filter | None,
    options: wire.RankingOptions | None,
) -> Search:
    """The fields are called filters and ranking_options on the wire, wherever they stand."""
    return Search(
        queries=queries,
        stores=stores,
        limit=limit,
        filter=to_filter(filters, "filters"),
        threshold=(options.score_threshold or 0.0) if options else 0.0,
        weights=to_weights(options, "ranking_options"),
        rerank=options is None or options.ranker != "none",
    )


def clamped_score(hit: Hit) -> float:
    return min(1.0, max(0.0, hit.score))


def _filter(given: wire.Filter, field: str, depth: int) -> Filter:
    if isinstance(given, wire.ComparisonFilter):
        return _comparison(given, field)
    if depth == 0:
        raise bad_request(field, f"{field}: filters lie more than {DEPTH} deep in each other", "too_deep")
    inner = tuple(_filter(one, f"{field}.filters.{i}", depth - 1) for i, one in enumerate(given.filters))
    return Combine(op=given.type, filters=inner)


def _comparison(given: wire.ComparisonFilter, field: str) -> Compare:
    several = isinstance(given.value, list)
    if several != (given.type in ("in", "nin")):
        raise bad_request(
            f"{field}.value", f"{field}.value: {given.type} takes {'one value' if several else 'a list of values'}", "invalid_value"
        )
    if isinstance(given.value, bool) and given.type in ("gt", "gte", "lt", "lte"):
        raise bad_request(f"{field}.value", f"{field}.value: {given.type} takes a number or a string", "invalid_value")
    value = tuple(given.value) if isinstance(given.value, list) else given.value
    return Compare(op=given.type, key=given.key, value=value)


def _size(filter: Filter) -> int:
    return 1 if isinstance(filter, Compare) else sum(map(_size, filter.filters))
