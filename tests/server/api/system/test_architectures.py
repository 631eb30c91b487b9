"""POST /v1/architectures: the numbers of `stoa arch --json`."""

import json
from pathlib import Path
from typing import Any

import pytest

from server.cli.arch.command import as_json
from tests.server.fakes import FakeEngine, ask, ready, says, text

TEXT = text()
LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 512, "num_hidden_layers": 4, "num_attention_heads": 8,
         "num_key_value_heads": 2, "intermediate_size": 1024, "vocab_size": 1000, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5,
         "hidden_act": "silu", "tie_word_embeddings": False}  # fmt: skip


def post(status: int = 200, settings: dict[str, Any] | None = None, **body: Any) -> Any:
    app, _ = ready(FakeEngine(says("Hi.", TEXT)), TEXT, **(settings or {}))
    answer = ask(app, "POST", "/v1/architectures", json=body)
    assert answer.status_code == status, answer.text
    return answer.json() if status == 200 else answer.json()["error"]


def test_they_are_those_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    [told] = json.loads(as_json([str(tmp_path)]))
    for answer in (post(config=LLAMA), post(model="own", settings={"model": (f"own={tmp_path}",)})):
        assert {"model": str(tmp_path), "architecture": answer["architecture"], **answer["description"]} == told


def test_context_and_bytes_are_the_askers() -> None:
    small, large = (post(config=LLAMA, context=context, bytes_per_number=bytes)["description"] for context, bytes in ((100, 1), (200, 4)))
    assert large["bytes_per_context"] == 8 * small["bytes_per_context"] and (small["context"], large["context"]) == (100, 200)


@pytest.mark.parametrize(
    ("change", "code"),
    [({"num_hidden_layers": 10**6}, "too_large"), ({"hidden_size": 10**15}, "too_large"), ({"hidden_size": "wide"}, "unknown_architecture"),
     ({"num_attention_heads": 0}, "unknown_architecture"), ({"architectures": ["Unknown"]}, "unknown_architecture"),
     ({"architectures": []}, "unknown_architecture"), ({"what": 1}, "unknown_architecture")],
)  # fmt: skip
def test_what_is_no_architecture_is_refused(change: dict[str, Any], code: str) -> None:
    error = post(400, config=LLAMA | change)
    assert (error["param"], error["code"]) == ("config", code)


def test_one_of_both_is_asked_for() -> None:
    assert post(400)["param"] == post(400, model="tiny", config=LLAMA)["param"] == "model"
    assert post(404, model="nobody")["code"] == "model_not_found"
