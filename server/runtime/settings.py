"""Every setting, typed, read in exactly one place: arguments before STOA_* in the environment before stoa.toml before these
defaults."""

import ipaddress
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from server.core.tool_limits import ToolLimits
from server.runtime.grounding_settings import GroundingSettings
from server.runtime.setting_values import hashed_key, read_keys, short_name, split_alias, split_budget, text_or_file
from server.runtime.tracing.api import tracing_problem, tracing_wanted

FILE = Path("stoa.toml")  # in the directory where the server starts
ORIGIN = re.compile(r"(https?|[a-z][a-z0-9+.-]*-extension)://[^/\s?#@]+", re.ASCII)  # browsers' extensions have schemes of their own
NAMED_MODEL = re.compile(r"([\w.-]+)=(?!=)(.+)")  # no path, and not wheel:NAME==VERSION
URL = re.compile(r"https?://[^/\s?#]+(/[^\s?#]*)?", re.ASCII)
TOOL_LIMITS, GROUNDING = ToolLimits(), GroundingSettings()
EMBEDDED_ONLY = frozenset(("quantize", "mixed_step_tokens", "shared_prefix", "speculative"))
LOCAL = frozenset(("kv_memory", "model_kv_memory", "max_running", "max_waiting", "max_step_tokens"))  # of engines of this machine
VLLM_ONLY = frozenset(
    ("tensor_parallel", "pipeline_parallel", "data_parallel", "distributed_executor", "gpu_memory_utilization", "enforce_eager")
)
REMOTE_ONLY = frozenset(("upstream", "upstream_model", "upstream_api_key", "upstream_api_key_file", "upstream_timeout", "tokenizer"))
FOREIGN = {  # what means nothing to an engine
    "auto": REMOTE_ONLY,
    "embedded": REMOTE_ONLY | VLLM_ONLY,
    "vllm": REMOTE_ONLY | EMBEDDED_ONLY,
    "remote": EMBEDDED_ONLY | LOCAL | VLLM_ONLY,
}
Strings = Annotated[tuple[str, ...], NoDecode]  # in the environment separated by commas


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="STOA_", toml_file=FILE, extra="forbid", frozen=True)

    model: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], NoDecode, Field(min_length=1)] = Field(
        default=("smollm2",),
        description="A name, a directory, a .gguf file, wheel:NAME or a hub id; as NAME=SPEC clients call it NAME (repeatable)",
    )
    served_model_name: str | None = Field(
        default=None, min_length=1, description="What clients call it, where it is one (default: the model's name)"
    )
    model_alias: Strings = Field(
        default=(), description="ALIAS=NAME: clients may also call the model NAME so (repeatable), such as gpt-4o=smollm2"
    )
    engine: Literal["auto", "embedded", "vllm", "remote"] = Field(
        default="auto",
        description="What computes answers: this process, vLLM, or other servers (--upstream); auto: vLLM where it and a CUDA device are",
    )
    tensor_parallel: int = Field(default=1, ge=1, description="With vLLM: devices that share each layer of a model")
    pipeline_parallel: int = Field(default=1, ge=1, description="With vLLM: groups of devices that have some of its layers each")
    data_parallel: int = Field(default=1, ge=1, description="With vLLM: copies of the model, each on devices of its own")
    distributed_executor: Literal["mp", "ray"] | None = Field(
        default=None, description="With vLLM: how workers are started, as processes or by Ray (default: vLLM's choice)"
    )
    gpu_memory_utilization: float | None = Field(
        default=None, gt=0, le=1, description="With vLLM: share of a device's memory for weights and KV cache (default: vLLM's)"
    )
    enforce_eager: bool = Field(default=False, description="With vLLM: do not compile the model at start, which makes answers slower")
    upstream: Strings = Field(default=(), description="URL of an OpenAI-compatible server that computes answers (repeatable)")
    upstream_model: str | None = Field(default=None, min_length=1, description="What upstreams call the model (default: their first)")
    upstream_api_key: SecretStr | None = Field(default=None, description="The key that this server shows to upstreams")
    upstream_api_key_file: Path | None = Field(default=None, description="A file with that key")
    upstream_timeout: float = Field(default=300.0, gt=0, description="Seconds that an upstream may send nothing of an answer")
    tokenizer: str | None = Field(
        default=None, min_length=1, description="With upstreams: the folder of their model's tokenizer, or as --model (default: of --model)"
    )
    host: str = Field(default="127.0.0.1", description="Address to bind; any but loopback requires an API key")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to bind (0: any free one)")
    api_keys: Strings = Field(default=(), description="A key that clients may use, as it is or as sha256:HEX (repeatable)")
    api_key_file: Path | None = Field(
        default=None, description="A file with such keys, one per line: other users of this machine see the arguments of a process"
    )
    context: int | None = Field(default=None, ge=1, description="Longest prompt and answer together, in tokens (default: the model's)")
    kv_memory: int = Field(
        default=512, ge=1, description="Most memory that the KV cache and states may take, in MiB; several chat models share it evenly"
    )
    prefix_idle_seconds: float = Field(
        default=900,
        ge=0,
        description="While nothing runs, cached prompts that were unused so long give their memory back (0: they never do)",
    )
    model_kv_memory: Strings = Field(default=(), description="NAME=MIB: of that model, beside what the others share (repeatable)")
    quantize: Literal["int4", "int8"] | None = Field(default=None, description="Keep weights in this form (default: the checkpoint's)")
    keep_packed: bool = Field(
        default=True, description="Keep large models on disk as the CPU kernels read them too, so that the next start maps them"
    )
    device: str = Field(default="cpu", pattern=r"^(cpu|cuda(:\d+)?)$", description="cpu, cuda or cuda:N")
    threads: int | None = Field(default=None, ge=1, description="CPU threads of the engine (default: one per core)")
    max_running: int = Field(default=64, ge=1, description="Sequences computed at the same time")
    max_waiting: int = Field(default=512, ge=1, description="Sequences in the queue before new ones get a 503")
    max_step_tokens: int = Field(default=512, ge=1, description="Tokens of one step while nothing is being generated")
    mixed_step_tokens: int | None = Field(
        default=None, ge=1, description="Prompt tokens of one step while something is, for each answer (default: 16 on a CPU, 512 on a GPU)"
    )
    speculative: Literal["auto", "ngram", "off"] = Field(
        default="auto",
        description="Guess tokens ahead and check several in one step: ngram, what followed where the text read so before; auto: that on "
        "the CPU kernels, which choose the same tokens with and without",
    )
    max_answer_tokens: int | None = Field(
        default=None, ge=1, description="Tokens of an answer whose request does not limit them (default: what the context leaves)"
    )
    generation_config: Literal["auto", "none"] = Field(
        default="auto",
        description="Sampling where a request says nothing: auto, as the model's generation_config.json; none: at temperature 1",
    )
    shared_prefix: Strings = Field(
        default=(), description="A system prompt, or the file that holds it, whose place in the prefix cache all keys share (repeatable)"
    )
    drain_seconds: float = Field(default=30.0, ge=0, description="How long SIGTERM waits for answers before it cuts them off")
    max_body_bytes: int = Field(default=8 * 2**20, ge=1, description="Largest request body, but for uploads")
    embedding_model: str = Field(
        default="minilm",
        min_length=1,
        description="As --model; makes the vectors of the knowledge base, of images too with CLIP or SigLIP; none: no such",
    )
    image_embedding_model: str | None = Field(
        default=None,
        min_length=1,
        description="A CLIP or SigLIP, as --model: finds pictures of documents by what they show (default: --embedding-model if it is one)",
    )
    embedding_dtype: Literal["int8", "bfloat16", "float32"] | None = Field(
        default=None, description="Arithmetic of it (default: the device's fastest)"
    )
    query_prompt: str | None = Field(
        default=None, description="What the embedding model reads before a query, such as 'query: ' (default: as its folder says)"
    )
    document_prompt: str | None = Field(
        default=None, description="What it reads before a passage, such as 'passage: ' (default: as its folder says)"
    )
    rerank_model: str | None = Field(default=None, min_length=1, description="A cross-encoder, as --model, that sorts what a search found")
    classifier_model: str | None = Field(
        default=None, min_length=1, description="A classifier of texts or images, as --model, for /v1/classify"
    )
    transcription_model: str | None = Field(
        default=None, min_length=1, description="A Whisper model, as --model, such as whisper-tiny; writes down what is said in recordings"
    )
    image_model: str | None = Field(
        default=None, min_length=1, description="A pipeline of diffusers, such as digits, or a folder or hub id; makes pictures"
    )
    max_audio_bytes: int = Field(default=256 * 2**20, ge=1, description="Largest recording")
    max_audio_seconds: float = Field(default=4 * 3600.0, gt=0, description="Longest recording")
    database_url: str | None = Field(
        default=None,
        min_length=1,
        repr=False,
        description="Knowledge base: a file or postgresql://... (default: stoa.db in $STOA_HOME, else in the user's data directory)",
    )
    default_store: str | None = Field(
        default=None, min_length=1, description="Vector store (name or id) that grounds the answers of clients who name none"
    )
    grounding_passages: int = Field(
        default=GROUNDING.passages, ge=1, le=50, description="Passages that an answer out of documents is written from, at most"
    )
    grounding_tokens: int = Field(default=GROUNDING.tokens, ge=64, description="Tokens of all these passages together, at most")
    grounding_floor: float | None = Field(
        default=None, ge=0, le=1, description="Score of the best passage under which documents hold no answer (default: as measured)"
    )
    max_upload_bytes: int = Field(default=512 * 2**20, ge=1, description="Largest file that may be uploaded")
    batch_max_lines: int = Field(default=50_000, ge=1, description="Requests in the file of a batch, at most")
    batch_max_bytes: int = Field(default=200 * 2**20, ge=1, description="Largest such file")
    batch_sequences: int | None = Field(
        default=None, ge=1, description="Requests of batches answered at once, in idle time (default: 4 on a CPU, 32 on a GPU)"
    )
    hnsw_above: int | None = Field(
        default=None, ge=1, description="Chunks of a store from which on nearest vectors are looked up approximately (default: 300000)"
    )
    chunk_size: int | None = Field(default=None, ge=16, le=4096, description="Tokens of a chunk (default: 256, or what the model reads)")
    chunk_overlap: int | None = Field(default=None, ge=0, le=2048, description="Tokens that a chunk shares with the one before")
    mcp_config: Path | None = Field(
        default=None, description="MCP servers whose tools the chat may call: a JSON file with mcpServers, as other clients have it"
    )
    mcp_files: Strings = Field(default=(), description="A folder that the built-in server `files` shows, read-only (repeatable)")
    mcp_database: Strings = Field(
        default=(), repr=False, description="A database, [NAME=]URL, that the built-in server `database` queries, read-only (repeatable)"
    )
    tool_turns: int = Field(
        default=TOOL_LIMITS.max_turns, ge=1, description="Turns of the model in which it may call server tools, for one request"
    )
    tool_calls: int = Field(default=TOOL_LIMITS.max_calls, ge=1, description="Calls of server tools for one request")
    tool_seconds: float = Field(
        default=TOOL_LIMITS.max_seconds, gt=0, description="How long one request's server tools may take, all together"
    )
    tool_output_tokens: int = Field(
        default=TOOL_LIMITS.max_output_tokens, ge=64, description="Tokens of one tool's output that the model gets to read, at most"
    )
    page: bool = Field(default=True, description="Show a page at / to browsers")
    cors_origins: Strings = Field(default=(), description="Origin of web pages that may call this server (repeatable)")
    image_hosts: Strings = Field(
        default=(), description="Host from which images that requests name by https URLs are fetched (repeatable; default: from none)"
    )
    tracing: bool | None = Field(
        default=None, description="Send OpenTelemetry spans over OTLP (default: where OTEL_EXPORTER_OTLP_ENDPOINT is set)"
    )
    tracing_content: bool = Field(default=False, description="Show in spans what users wrote, models answered and tools returned")
    log_json: bool = Field(default=False, description="Log one JSON object per line")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least serious level that is logged")

    @field_validator(
        "api_keys", "cors_origins", "image_hosts", "mcp_files", "mcp_database", "model_alias", "upstream", "model_kv_memory", mode="before"
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("model", mode="before")
    @classmethod
    def _split_models(cls, value: object) -> object:
        """At commas only where each part has a name: they may be part of a path."""
        if not isinstance(value, str):
            return value
        parts = [part.strip() for part in value.split(",")]
        return tuple(parts) if all(NAMED_MODEL.fullmatch(part) for part in parts) else (value,)

    @field_validator("shared_prefix", mode="before")
    @classmethod
    def _one_text(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("shared_prefix")
    @classmethod
    def _read_files(cls, prefixes: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(text_or_file, prefixes))

    @field_validator("api_keys")
    @classmethod
    def _hash(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        """No key stays in memory as it was given."""
        return tuple(map(hashed_key, keys))

    @model_validator(mode="after")
    def _pictures_lie_in_documents(self) -> "Settings":
        if self.image_embedding_model is not None and self.embedding_model == "none":
            raise ValueError("image_embedding_model: without --embedding-model there are no documents; it may be the same model")
        return self

    @model_validator(mode="after")
    def _aliases_lead_somewhere(self) -> "Settings":
        beside = (
            self.transcription_model,
            self.image_model,
            self.embedding_model,
            self.image_embedding_model,
            self.rerank_model,
            self.classifier_model,
        )
        known = [*self.models, *(short_name(model) for model in beside if model)]
        if unknown := [name for name in self.aliases.values() if name not in known]:
            raise ValueError(f"model_alias: there is no model {unknown[0]!r}; there are {', '.join(known)}")
        return self

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        """Without the slash that browsers do not send."""
        origins = tuple(origin.removesuffix("/").lower() for origin in origins)
        if wrong := [origin for origin in origins if origin != "*" and not ORIGIN.fullmatch(origin)]:
            raise ValueError(f"{wrong[0]!r} is no origin of a web page; one is like https://app.example:8443, and * stands for all")
        return origins

    @model_validator(mode="before")
    @classmethod
    def _with_keys_of_file(cls, values: dict[str, object]) -> dict[str, object]:
        file = values.get("api_key_file")
        if not file:
            return values
        given = values.get("api_keys") or ()
        keys: Sequence[str] = given.split(",") if isinstance(given, str) else cast(Sequence[str], given)
        return {**values, "api_keys": (*keys, *read_keys("api_key_file", Path(str(file)).expanduser()))}

    @model_validator(mode="after")
    def _models_are_told_apart(self) -> "Settings":
        beside = (self.transcription_name, self.image_name)
        names = [*(name for name, _ in self._named_models), *(name for name in beside if name)]
        if len(set(names)) < len(names):
            raise ValueError(f"model: two are called {next(name for name in names if names.count(name) > 1)!r}; name them: NAME=SPEC")
        one = [option for option in ("served_model_name", "tokenizer", "upstream_model") if getattr(self, option) is not None]
        if one and self._names_are_given:
            raise ValueError(f"{one[0]}: it is for a single model without a name; --model NAME=SPEC says both")
        budgets = dict(map(split_budget, self.model_kv_memory))
        if unknown := budgets.keys() - (set(names) - {self.image_name}):
            raise ValueError(f"model_kv_memory: there is no model {min(unknown)!r} with a KV cache; there are {', '.join(names)}")
        return self

    @model_validator(mode="before")
    @classmethod
    def _with_upstream_key(cls, values: dict[str, object]) -> dict[str, object]:
        file = values.get("upstream_api_key_file")
        if not file:
            return values
        return {**values, "upstream_api_key": read_keys("upstream_api_key_file", Path(str(file)).expanduser())[0]}

    @model_validator(mode="after")
    def _one_engine(self) -> "Settings":
        """What is only of another engine is not ignored."""
        remote = self.engine == "remote"
        if remote and not self.upstream:
            raise ValueError("engine: remote needs the URL of a server that computes answers (--upstream)")
        if wrong := [url for url in self.upstream if not URL.fullmatch(url)]:
            raise ValueError(f"upstream: {wrong[0]!r} is no URL; one is like http://gpu1.example:8000")
        if given := sorted(self.model_fields_set & FOREIGN[self.engine]):
            raise ValueError(f"{given[0]}: with the engine {self.engine!r} it means nothing")
        given, other = (sorted(self.model_fields_set & options) for options in (VLLM_ONLY, EMBEDDED_ONLY))
        if given and other:
            raise ValueError(f"{given[0]}: it is for the engine 'vllm', and {other[0]} for 'embedded'")
        if self.gpu_memory_utilization is not None and self.model_fields_set & {"kv_memory", "model_kv_memory"}:
            raise ValueError("gpu_memory_utilization: --kv-memory says how much memory the KV cache takes; give one of the two")
        return self

    @property
    def wants_vllm(self) -> bool:
        """Of `auto`: one of its options says so."""
        return self.engine == "vllm" or bool(self.model_fields_set & VLLM_ONLY)

    @property
    def excludes_vllm(self) -> bool:
        return self.engine in ("embedded", "remote") or bool(self.model_fields_set & EMBEDDED_ONLY)

    @model_validator(mode="after")
    def _guarded(self) -> "Settings":
        if not self.api_keys and not self.on_loopback:
            raise ValueError(f"binding to {self.host} opens the server to others: that requires an API key (--api-key, STOA_API_KEYS)")
        return self

    @model_validator(mode="after")
    def _can_trace(self) -> "Settings":
        if self.tracing and self.traces and self.tracing_problem is not None:
            raise ValueError(f"tracing: {self.tracing_problem}")
        return self

    @property
    def traces(self) -> bool:
        """Whether spans are sent: the setting and OpenTelemetry's own variables say so."""
        return tracing_wanted(self.tracing, os.environ)

    @property
    def tracing_problem(self) -> str | None:
        """Why spans cannot be sent, where that is wanted; None: they can."""
        return tracing_problem(os.environ)

    @property
    def name(self) -> str:
        """What clients call the first model."""
        return next(iter(self.models))

    @property
    def models(self) -> dict[str, str]:
        """Where each comes from, by what clients call it: what they are told, or the last part of a path, without what says how it is
        packed."""
        return dict(self._named_models)

    @property
    def transcription_name(self) -> str | None:
        """What clients call the model of speech."""
        return short_name(self.transcription_model) if self.transcription_model else None

    @property
    def image_name(self) -> str | None:
        """What clients call the model of pictures."""
        return short_name(self.image_model) if self.image_model else None

    @property
    def _named_models(self) -> list[tuple[str, str]]:
        if (self.served_model_name or self.tokenizer) and len(self.model) == 1:
            return [(self.served_model_name or short_name(self.tokenizer or self.model[0]), self.model[0])]
        named = [NAMED_MODEL.fullmatch(model) for model in self.model]
        return [(found[1], found[2]) if found else (short_name(model), model) for found, model in zip(named, self.model, strict=True)]

    @property
    def _names_are_given(self) -> bool:
        return len(self.model) > 1 or any(map(NAMED_MODEL.fullmatch, self.model))

    def upstream_model_of(self, name: str) -> str | None:
        """What upstreams call it, if that is known: of several each has its own name there."""
        return name if self._names_are_given else self.upstream_model

    @property
    def limits_kv_memory(self) -> bool:
        """Somebody has said how much the KV cache may take."""
        return bool(self.model_fields_set & {"kv_memory", "model_kv_memory"})

    def kv_memory_of(self, name: str) -> int:
        """MiB."""
        budgets = dict(map(split_budget, self.model_kv_memory))
        if name == self.transcription_name:
            return budgets.get(name, self.kv_memory)
        return budgets.get(name) or max(1, self.kv_memory // len(self.models.keys() - budgets.keys()))

    @property
    def allowed_image_hosts(self) -> frozenset[str]:
        return frozenset(host.lower() for host in self.image_hosts)

    @property
    def aliases(self) -> dict[str, str]:
        """Other names of models, each with the name."""
        return dict(split_alias(alias) for alias in self.model_alias)

    @property
    def shares_database(self) -> bool:
        """Whether other servers may work with the same database."""
        return (self.database_url or "").startswith("postgres")

    @property
    def on_loopback(self) -> bool:
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)
