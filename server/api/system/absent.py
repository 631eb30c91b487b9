"""Paths of other servers that are not here: an error that names what to use instead helps more than one that names the path alone."""

from collections.abc import Mapping

NO_SPEECH = "this server does not speak; it writes down what is said: use /v1/audio/transcriptions"
ALTERNATIVES: Mapping[str, str] = {  # path without /v1 -> what to do
    "/completion": "use /v1/completions",
    "/infill": "use /v1/completions with `suffix`, where the model knows infilling",
    "/embedding": "use /v1/embeddings",
    "/pooling": "use /v1/embeddings",
    "/classify": "no model here classifies; /v1/score compares texts",
    "/props": "use /v1/models: it says the context and what the model can do",
    "/slots": "use /metrics: it says how many sequences run and wait",
    "/lora-adapters": "adapters are merged into the weights before they are served",
    "/load_lora_adapter": "adapters are merged into the weights before they are served",
    "/unload_lora_adapter": "adapters are merged into the weights before they are served",
    "/is_sleeping": "the server does not sleep; /ready says whether it takes requests",
    "/server_info": "use /version and /v1/models",
    "/assistants": "use /v1/responses",
    "/threads": "use /v1/conversations with /v1/responses",
    "/edits": "use /v1/chat/completions, or /v1/images/edits for pictures",
    "/realtime": NO_SPEECH,
    "/audio/speech": NO_SPEECH,
    "/fine_tuning/jobs": "this server trains no models",
    "/complete": "use /v1/messages",
}


def alternative(path: str) -> str | None:
    """What to use in place of a path that is not here; None: it is a path of nobody."""
    return ALTERNATIVES.get(path.rstrip("/").removeprefix("/v1"))
