"""POST /v1/classify, and /classify as in vLLM: what texts or images are, by a classifier, or by labels of the request."""

import time
from collections.abc import Sequence
from uuid import uuid4

from retrieval.api import Judged
from server.api.embeddings import classify_types as wire
from server.api.embeddings.types import EmbeddingUsage, ImagePart, TextPart
from server.core.errors import ApiError, bad_request, model_not_found
from server.core.images import image_bytes, with_image_errors
from server.core.threads import with_api_errors
from server.http.context import RequestContext
from server.http.endpoint import Endpoint
from server.http.handlers import body_endpoint
from server.runtime.runtime import Runtime
from server.runtime.state import ServerState

NONE = (
    "this server has no classifier: start it with --classifier-model (STOA_CLASSIFIER_MODEL), or with a CLIP or SigLIP as"
    " --image-embedding-model for images by `labels`"
)


def endpoints(state: ServerState) -> list[Endpoint]:
    what = "What texts or images are, of the classes that a model or the request names"
    return [
        body_endpoint(state, classify, path, what, wire.ClassifyRequest, wire.ClassifyResponse) for path in ("/v1/classify", "/classify")
    ]


async def classify(context: RequestContext, body: wire.ClassifyRequest) -> wire.ClassifyResponse:
    """Raises ApiError."""
    items = _items(body)
    name = _chosen(context.runtime, body)
    answer = _by_labels(context, items, body.labels) if body.labels is not None else _by_classifier(context.runtime, items)
    judged, labels = await with_api_errors(with_image_errors(answer, "input"), "input")
    return wire.ClassifyResponse(
        id=f"classify-{uuid4().hex}",
        created=int(time.time()),
        model=name,
        data=[_to_classification(i, row, labels) for i, row in enumerate(judged.probabilities.tolist())],
        labels=list(labels),
        usage=EmbeddingUsage(prompt_tokens=judged.rows, total_tokens=judged.rows),
    )


def _chosen(runtime: Runtime, body: wire.ClassifyRequest) -> str:
    """The name of the classifier or, with labels, of the model that reads texts and images. Raises ApiError."""
    known = runtime.knowledge_base
    by_labels = None if known is None else known.image_embedding_name
    own = None if runtime.classifier is None else runtime.classifier.name
    fits = own if body.labels is None else by_labels
    asked = None if body.model is None else runtime.real_name(body.model)
    if asked is not None and asked not in (own, by_labels):
        raise model_not_found(asked, [name for name in (own, by_labels) if name])
    if fits is None or asked not in (None, fits):
        raise _misfit(asked, fits, with_labels=body.labels is not None)
    return fits


def _misfit(asked: str | None, fits: str | None, *, with_labels: bool) -> ApiError:
    if asked is None and fits is None:
        return bad_request("labels" if with_labels else "model", NONE, "no_classifier")
    if with_labels:
        return bad_request("labels", f"labels: {asked} has classes of its own; only a model that reads texts and images takes labels")
    return bad_request("labels", f"labels: missing; {asked} has no classes of its own, and compares images with the labels of a request")


def _items(body: wire.ClassifyRequest) -> list[str | bytes]:
    items = [body.input] if isinstance(body.input, str) else body.input
    return [_item(item, f"input.{i}") for i, item in enumerate(items)]


def _item(item: str | TextPart | ImagePart, field: str) -> str | bytes:
    match item:
        case ImagePart(image_url=image):
            return image_bytes(image.url, field)
        case TextPart(text=text):
            return text
        case text:
            return text


async def _by_labels(context: RequestContext, items: Sequence[str | bytes], labels: Sequence[str]) -> tuple[Judged, Sequence[str]]:
    model = context.knowledge_base.pictures
    assert model is not None  # by _chosen
    return await model.judged(_images(items), labels), labels


async def _by_classifier(runtime: Runtime, items: Sequence[str | bytes]) -> tuple[Judged, Sequence[str]]:
    assert runtime.classifier is not None  # by _chosen
    classifier = runtime.classifier.classifier
    wrong = [i for i, item in enumerate(items) if isinstance(item, str) != (classifier.reads == "text")]
    if wrong:
        raise bad_request("input", f"input.{wrong[0]}: {runtime.classifier.name} reads {classifier.reads}s, and nothing else")
    return await classifier.classify(items), classifier.labels


def _images(items: Sequence[str | bytes]) -> list[bytes]:
    images = [item for item in items if isinstance(item, bytes)]
    if len(images) < len(items):
        raise bad_request("input", "input: labels are for images; a text is classified by a classifier, without labels")
    return images


def _to_classification(index: int, row: list[float], labels: Sequence[str]) -> wire.Classification:
    best = max(range(len(row)), key=row.__getitem__)
    return wire.Classification(index=index, label=labels[best], probs=row, num_classes=len(row))
