"""Whether a message goes on from the question before it, or asks for something else. A question that has nothing to do with the
documents is to find nothing there, whatever was asked before it.

Measured with MiniLM on six documents, 24 follow-ups ("When was she born?", "Why?", "And for kids?") and 21 messages of another kind
("Who won the 2010 World Cup?", "Recommend me a good restaurant"). Behind the question before it, a follow-up leaves the nearness
(cosine) of that question to its passage almost as it is, -0.07 to +0.07; another question takes away 0.03 to 0.26 of it. That alone
tells 24 and 18 right. The message's own nearness to the passage, 0.4 times, makes it 24 and 20 ("Tell me a joke" stays); by itself
it tells 19 and 20. No list of words is needed, so it holds for other languages, too.
"""

from collections.abc import Mapping

from retrieval.api import Hit, Vector
from retrieval.search.retriever import embed_queries
from server.core.threads import in_thread
from server.runtime.knowledge_base import KnowledgeBase

OWN_WEIGHT = 0.4  # what the message's own nearness counts
MAX_LOSS = 0.045  # how much of the nearness may get lost

Pair = tuple[str, str]  # the question before, and the message


async def is_follow_up(knowledge: KnowledgeBase, asked: Pair, hit: Hit, query_vectors: Mapping[str, Vector]) -> bool:
    """`hit`: the best that both together find, in a search that returned `query_vectors`. Raises EngineError."""
    _, rows = await in_thread(knowledge.store.vectors, [hit.chunk.id])
    if not len(rows):
        return False
    before, message = asked
    queries = (before, message, joined_query(before, message))
    vectors = await embed_queries(knowledge.embedder, queries, query_vectors)
    first, own, both = (float(vectors[query] @ rows[0]) for query in queries)
    return both - first + OWN_WEIGHT * own >= -MAX_LOSS


def joined_query(before: str, message: str) -> str:
    return f"{before}\n{message}"
