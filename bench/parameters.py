"""What becomes of each parameter of the generation APIs, as a page made from their wire types: python -m bench.parameters"""

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from server.api.anthropic.request_types import MessagesRequest
from server.api.chat_completions.types import ChatRequest
from server.api.common.generation_types import GenerationFields, SamplingFields
from server.api.common.llamacpp_types import LlamaCppFields
from server.api.common.unsupported import SupportsOnly, Unsupported
from server.api.common.vllm_types import VllmFields
from server.api.completions.types import CompletionRequest
from server.api.embeddings.types import EmbeddingRequest
from server.api.images.request_types import GenerationRequest
from server.api.ollama.types import GenerateRequest, OllamaChatRequest, Options
from server.api.responses.types.request import ResponseRequest
from server.http.warnings import Hint, Silent

PAGE = Path(__file__).parents[1] / "docs" / "parameters.md"
APIS: dict[str, type[BaseModel]] = {
    "`POST /v1/chat/completions`": ChatRequest,
    "`POST /v1/completions`": CompletionRequest,
    "`POST /v1/responses`": ResponseRequest,
    "`POST /v1/messages` (Anthropic)": MessagesRequest,
    "`POST /v1/embeddings`": EmbeddingRequest,
    "`POST /v1/images/generations`": GenerationRequest,
    "`POST /api/chat` (Ollama)": OllamaChatRequest,
    "`POST /api/generate` (Ollama)": GenerateRequest,
    "`options` of Ollama's": Options,
}
SHARED: dict[str, type[BaseModel]] = {
    "vLLM's, in both completions": VllmFields,
    "llama.cpp's and Ollama's, in both completions": LlamaCppFields,
}
INTRODUCTION = """# Parameters

Made from the types of the requests by `python -m bench.parameters`. *Honoured*: it does what its API says. *No effect*: it is taken, as it
asks for less, for speed or for a taste, and named in `warnings` of the answer and in the header `x-stoa-warnings`. *Taken*: nothing in the
answer could depend on it. *Refused*: a 400 that names it. What is in no table is refused as unknown, unless it is null.
"""


def page() -> str:
    tables = [_table(title, model) for title, model in (SHARED | APIS).items()]
    return "\n".join([INTRODUCTION, *tables])


def _table(title: str, model: type[BaseModel]) -> str:
    lines = [f"| `{name}` | {_fate(field)} |" for name, field in _fields(model)]
    return "\n".join([f"## {title}\n", "| parameter | |", "|---|---|", *lines, ""])


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """Those of the shared groups are in tables of their own. Objects are followed, lists are not."""
    shared = {} if model in SHARED.values() else VllmFields.model_fields | LlamaCppFields.model_fields
    own = shared.keys() - (SamplingFields.model_fields | GenerationFields.model_fields).keys() if issubclass(model, VllmFields) else ()
    for name, field in sorted(model.model_fields.items()):
        if name not in own:
            yield field.alias or name, field


def _fate(field: FieldInfo) -> str:
    for note in field.metadata:
        match note:
            case Hint(reason=reason, silent=()):
                return f"no effect: {reason}"
            case Hint(reason=reason, silent=tuple() as silent):
                return f"no effect: {reason}; without a warning: {_values(silent)}"
            case Hint(reason=reason):
                return f"honoured in part: {reason}"
            case Silent(reason=reason):
                return f"taken: {reason}"
            case Unsupported():
                return "refused"
            case SupportsOnly(values=values):
                return f"only {_values(values)}"
            case _:
                pass
    return "refused" if field.annotation is type(None) else "honoured"


def _values(values: tuple[object, ...]) -> str:
    return ", ".join(dict.fromkeys(f"`{str(value).lower() if isinstance(value, bool) else value}`" for value in values))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
