"""What Ollama's API tells of the models: /api/tags, /api/ps, /api/show and /api/version."""

import hashlib
import json
from functools import partial

from starlette.types import Receive, Scope, Send

from server.api.ollama import types as wire
from server.api.ollama.request import model_name
from server.api.ollama.response import timestamp
from server.core.errors import ApiError, model_not_found
from server.core.version import our_version
from server.http.context import RequestContext
from server.http.endpoint import Endpoint
from server.http.handlers import body_endpoint, status_endpoint
from server.http.sse import send_json
from server.runtime.runtime import Runtime
from server.runtime.state import ServerState
from server.text.infill import infill_prompt


def endpoints(state: ServerState) -> list[Endpoint]:
    return [
        status_endpoint("/api/tags", "The models, as Ollama has it", partial(_tags, state), wire.ModelList, errors=(503,)),
        status_endpoint("/api/ps", "The loaded models, as Ollama has it", partial(_tags, state), wire.ModelList, errors=(503,)),
        status_endpoint("/api/version", "The version", _version, wire.Version),
        body_endpoint(state, show, "/api/show", "What is known of a model, as Ollama has it", wire.ShowRequest, wire.ShowResponse),
    ]


async def _tags(state: ServerState, scope: Scope, receive: Receive, send: Send) -> None:
    runtime = state.expect_ready()
    names = [*runtime.chat_names, *([runtime.knowledge_base.embedding_name] if runtime.knowledge_base else []), *runtime.aliases]
    models = wire.ModelList(models=[_model(runtime, name) for name in dict.fromkeys(names)])
    await send_json(send, 200, models.model_dump_json().encode())


async def _version(scope: Scope, receive: Receive, send: Send) -> None:
    await send_json(send, 200, json.dumps({"version": our_version()}).encode())


async def show(context: RequestContext, body: wire.ShowRequest) -> wire.ShowResponse:
    """Raises ApiError 404."""
    given = body.model or body.name
    if given is None:
        raise ApiError(400, "model: it must be named", "model", "missing")
    runtime = context.runtime.choose(model_name(given))
    name = runtime.real_name(model_name(given))
    modified = timestamp(runtime.created)
    if runtime.knowledge_base is not None and name == runtime.knowledge_base.embedding_name:
        embedder = runtime.knowledge_base.embedder
        known = {
            "general.architecture": "bert",
            "bert.context_length": embedder.max_tokens,
            "bert.embedding_length": embedder.identity.dimensions,
        }
        return wire.ShowResponse(
            modelfile=f"FROM {name}\n",
            parameters="",
            template="",
            details=_details(runtime, name),
            model_info=known,
            capabilities=["embedding"],
            modified_at=modified,
        )
    if name not in runtime.names:
        raise model_not_found(given, runtime.chat_names)
    return _chat_model(runtime, name, modified)


def _chat_model(runtime: Runtime, name: str, modified: str) -> wire.ShowResponse:
    info, tokenizer = runtime.engine.info, runtime.tokenizer
    capabilities: list[str] = ["completion"]
    if tokenizer.tool_template is not None:
        capabilities.append("tools")
    if tokenizer.reasoning:
        capabilities.append("thinking")
    if infill_prompt(tokenizer, (), "") is not None:
        capabilities.append("insert")
    if runtime.sight is not None:
        capabilities.append("vision")
    family = info.architecture or "unknown"
    return wire.ShowResponse.model_validate(
        {
            "modelfile": f"FROM {name}\n",
            "parameters": "",
            "template": tokenizer.template.source if tokenizer.template else "",
            "details": _details(runtime, name),
            "model_info": {
                "general.architecture": family,
                "general.parameter_count": info.parameters,
                f"{family}.context_length": info.context,
                f"{family}.vocab_size": info.vocab,
            },
            "capabilities": capabilities,
            "modified_at": modified,
        }
    )


def _model(runtime: Runtime, name: str) -> wire.Model:
    runtime = runtime.choose(name)
    digest = hashlib.sha256(f"{runtime.fingerprint} {runtime.real_name(name)}".encode()).hexdigest()
    tagged = f"{name}:latest"
    return wire.Model(
        name=tagged, model=tagged, modified_at=timestamp(runtime.created), digest=digest, details=_details(runtime, runtime.real_name(name))
    )


def _details(runtime: Runtime, name: str) -> wire.Details:
    info = runtime.engine.info
    if name not in runtime.names:
        return wire.Details(family="bert", families=["bert"], parameter_size="")
    family = info.architecture or "unknown"
    size = "" if info.parameters is None else f"{info.parameters / 1e9:.1f}B" if info.parameters >= 1e9 else f"{info.parameters / 1e6:.1f}M"
    return wire.Details(family=family, families=[family], parameter_size=size)
