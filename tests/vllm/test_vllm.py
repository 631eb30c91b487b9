"""What answers with vLLM as the engine, in an environment that has it."""

import pytest

from tests.vllm.environment import run_in_it

SERVER = (  # tests of a server with a real model, which hold whatever computes it
    "tests/server/api/test_real.py",
    "tests/server/api/anthropic/test_messages_real.py",
    "tests/server/api/chat_completions/test_tools_real.py",
    "tests/server/api/responses/test_responses_real.py",
)


@pytest.mark.slow
def test_the_engine() -> None:
    run_in_it("tests/vllm/check_engine.py")


@pytest.mark.slow
def test_the_server() -> None:
    run_in_it("tests/vllm/check_server.py", *SERVER, TEST_ENGINE="vllm")


@pytest.mark.slow
def test_the_models() -> None:
    run_in_it("tests/vllm/check_models.py")
    run_in_it("tests/vllm/check_parallel.py")
