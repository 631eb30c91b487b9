"""From the wire types of a search, its filters and ranking options, to the retriever's."""

from retrieval.api import Combine, Compare, Filter, Hit, Search, Weights
from server.api.common.search import filter_types as wire
from server.core.errors import bad_request

MAX_DEPTH = 8  # of nested filters
MAX_COMPARISONS = 256  # of one filter, with all nested ones


def to_filter(wire_filter: wire.Filter | None, field: str) -> Filter | None:
    """Raises ApiError that names `field` or a field below it."""
    if wire_filter is None:
        return None
    converted = _to_filter(wire_filter, field, MAX_DEPTH)
    if _count_comparisons(converted) > MAX_COMPARISONS:
        raise bad_request(field, f"{field}: more than {MAX_COMPARISONS} comparisons", "too_large")
    return converted


def to_weights(options: wire.RankingOptions | None, field: str) -> Weights | None:
    if options is None or options.hybrid_search is None:
        return None
    search = options.hybrid_search
    if search.embedding_weight == search.text_weight == 0:
        raise bad_request(f"{field}.hybrid_search", f"{field}.hybrid_search: one of embedding_weight and text_weight must be more than 0")
    return Weights(embedding=search.embedding_weight, text=search.text_weight)


def to_search(
    queries: tuple[str, ...],
    stores: tuple[str, ...],
    *,
    limit: int,
    filters: wire.Filter | None,
    options: wire.RankingOptions | None,
) -> Search:
    """Raises ApiError that names the fields filters and ranking_options."""
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
    """Within 0..1, as the APIs have it."""
    return min(1.0, max(0.0, hit.score))


def _to_filter(wire_filter: wire.Filter, field: str, depth: int) -> Filter:
    if isinstance(wire_filter, wire.ComparisonFilter):
        return _to_comparison(wire_filter, field)
    if depth == 0:
        raise bad_request(field, f"{field}: filters lie more than {MAX_DEPTH} deep in each other", "too_deep")
    filters = tuple(_to_filter(inner, f"{field}.filters.{i}", depth - 1) for i, inner in enumerate(wire_filter.filters))
    return Combine(op=wire_filter.type, filters=filters)


def _to_comparison(comparison: wire.ComparisonFilter, field: str) -> Compare:
    takes_list = isinstance(comparison.value, list)
    if takes_list != (comparison.type in ("in", "nin")):
        raise bad_request(
            f"{field}.value", f"{field}.value: {comparison.type} takes {'one value' if takes_list else 'a list of values'}", "invalid_value"
        )
    if isinstance(comparison.value, bool) and comparison.type in ("gt", "gte", "lt", "lte"):
        raise bad_request(f"{field}.value", f"{field}.value: {comparison.type} takes a number or a string", "invalid_value")
    value = tuple(comparison.value) if isinstance(comparison.value, list) else comparison.value
    return Compare(op=comparison.type, key=comparison.key, value=value)


def _count_comparisons(filter: Filter) -> int:
    return 1 if isinstance(filter, Compare) else sum(map(_count_comparisons, filter.filters))
