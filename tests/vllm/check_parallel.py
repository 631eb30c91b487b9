"""Families inside vLLM on two tensor-parallel workers. Not collected by itself: it needs the environment of environment.py."""

import os
from pathlib import Path

import pytest

from tests.models.test_parity import tiny
from tests.models.world import make, ours
from tests.vllm.check_models import CHANGES, difference, opened


@pytest.mark.parametrize("family", ["llama", "bloom", "gpt_oss", "falcon_h1", "mixtral"])
def test_two_workers_answer_as_the_reference(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cores = sorted(os.sched_getaffinity(0))
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "|".join(str(core) for core in (cores[0], cores[-1])))
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    make(tiny(family, **CHANGES.get(family, {}))).save_pretrained(tmp_path)
    with opened(tmp_path, tensor_parallel_size=2, distributed_executor_backend="mp") as llm:
        assert difference(llm, ours(tmp_path)) < 1e-4
