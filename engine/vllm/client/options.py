"""Starts vLLM for a model's folder."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.platforms import current_platform
from vllm.v1.engine.async_llm import AsyncLLM

from engine.api import ModelInfo
from engine.end_tokens import end_tokens_of
from engine.vllm.client.engine import VllmEngine
from engine.vllm.client.figures import Figures
from engine.vllm.client.grammars import Grammars
from engine.vllm.client.reaper import Reaper
from engine.vllm.client.steering import Tools

STEERING = "engine.vllm.client.logits:Steering"
CPU_PAGE = 32  # tokens; of vLLM's usual 128 short beginnings of prompts would never be shared


@dataclass(frozen=True, kw_only=True)
class VllmOptions:
    """None: vLLM's own choice."""

    directory: Path  # config.json, tokenizer.json and *.safetensors
    device: Literal["cpu", "cuda"] | None = None
    context: int | None = None  # tokens
    kv_memory: int | None = None  # bytes, of each device
    memory_utilization: float | None = None  # share of each device's memory, weights included
    max_running: int
    max_waiting: int
    max_step_tokens: int | None = None
    threads: int | None = None  # on a CPU, of each worker
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    data_parallel: int = 1
    executor: Literal["mp", "ray"] | None = None
    eager: bool = False  # without compiling the model at start


def open_vllm(options: VllmOptions) -> VllmEngine:
    """Returns once the model is loaded. Raises ValueError for what cannot be done."""
    found = "cpu" if current_platform.is_cpu() else "cuda"
    if options.device not in (None, found):
        raise ValueError(f"device: this vLLM computes on {found}, not on {options.device}")
    if options.threads is not None and found != "cpu":
        raise ValueError("threads: the engine 'vllm' does not compute on the CPU here")
    if found == "cpu" and options.eager and options.pipeline_parallel > 1:  # it skips the first run, which makes what passes between stages
        raise ValueError("enforce_eager: on a CPU vLLM 0.32 cannot do it with pipeline_parallel: leave one of the two out")
    _set_environment(options)
    reaper, figures = Reaper(), Figures()
    try:
        llm = AsyncLLM.from_engine_args(_arguments(options, found), stat_loggers=[figures.logger])
    except BaseException as error:
        reaper.dismiss()
        if isinstance(error, ValidationError):
            raise ValueError(f"vLLM: {'; '.join(one['msg'].removeprefix('Value error, ') for one in error.errors())}") from error
        raise
    model, folder = llm.vllm_config.model_config, options.directory
    tools = Tools((folder / "tokenizer.json").read_text(encoding="utf-8"), model.get_vocab_size(), end_tokens_of(folder))
    info = ModelInfo(context=model.max_model_len, vocab=model.get_vocab_size(), architecture=model.architectures[0])
    return VllmEngine(llm, info, Grammars(tools.compiler), figures, reaper, options.max_running + options.max_waiting)


def _arguments(options: VllmOptions, device: str) -> AsyncEngineArgs:
    """No text is made by vLLM, and its sampler has no wishes of the checkpoint: both are this server's."""
    wanted: dict[str, object] = {
        "max_model_len": options.context,
        "kv_cache_memory_bytes": options.kv_memory,
        "gpu_memory_utilization": options.memory_utilization,
        "max_num_batched_tokens": options.max_step_tokens,
        "distributed_executor_backend": options.executor,
        "block_size": CPU_PAGE if device == "cpu" else None,
    }
    return AsyncEngineArgs(
        model=str(options.directory),
        skip_tokenizer_init=True,
        generation_config="vllm",
        max_num_seqs=options.max_running,
        max_logprobs=-1,
        scheduling_policy="priority",
        logits_processors=[STEERING],
        tensor_parallel_size=options.tensor_parallel,
        pipeline_parallel_size=options.pipeline_parallel,
        data_parallel_size=options.data_parallel,
        enforce_eager=options.eager,
        disable_log_stats=True,
        **{name: value for name, value in wanted.items() if value is not None},  # type: ignore[arg-type]
    )


def _set_environment(options: VllmOptions) -> None:
    """vLLM has no arguments for these, and reads them late. What the environment says of the others already, stays."""
    if options.threads is not None:
        os.environ |= {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": str(options.threads)}
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_USE_V2_MODEL_RUNNER", "0")  # whose logits processors are told of no answer's end
