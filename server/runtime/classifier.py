"""The model of /v1/classify, beside those of the knowledge base."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrieval.api import Classifier
from server.runtime.setting_values import short_name
from server.runtime.settings import Settings
from server.weights.progress import Progress

if TYPE_CHECKING:
    from retrieval.embedding.embed import EmbedOptions


@dataclass(frozen=True)
class ClassifierModel:
    name: str
    classifier: Classifier


def open_classifier_model(settings: Settings, progress: Progress | None) -> ClassifierModel | None:
    """None: the settings want none. Raises PullError, ValueError."""
    if settings.classifier_model is None:
        return None
    from retrieval.embedding.classifiers import open_classifier
    from server.weights.pull import pull

    directory = pull(settings.classifier_model, progress=progress)
    return ClassifierModel(short_name(settings.classifier_model), open_classifier(directory, _options(settings)))


def _options(settings: Settings) -> "EmbedOptions":
    from retrieval.embedding.embed import EmbedOptions

    return EmbedOptions(device=settings.device, dtype=settings.embedding_dtype, threads=settings.threads)
