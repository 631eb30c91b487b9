"""The knowledge base, as the commands ingest and search open it."""

from retrieval.api import KnowledgeError
from server.runtime.knowledge_base import KnowledgeBase, open_knowledge_base
from server.runtime.loading.open_speech import open_speech
from server.runtime.settings import Settings
from server.speech.reading import RecordingReader
from server.weights.progress import progress_bar

OPERATOR = ""  # the owner of what the command line stores: the same as that of requests without an API key


def open_for_command(settings: Settings) -> KnowledgeBase:
    """Shows a progress bar while models are fetched. Raises KnowledgeError, PullError, ValueError."""
    with progress_bar() as progress:
        speech = open_speech(settings, progress)
        knowledge_base = open_knowledge_base(settings, progress, speech=speech and RecordingReader(speech))
    if knowledge_base is None:
        raise KnowledgeError("the knowledge base needs an embedding model: set STOA_EMBEDDING_MODEL to something else than none")
    return knowledge_base


def expect_not_blank(name: str, value: str) -> None:
    """`name`: of the option or argument. Raises ValueError."""
    if not value.strip():
        raise ValueError(f"{name}: it is empty")
