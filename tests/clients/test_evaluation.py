"""lm-eval's `local-completions` runs tasks end to end against a real server, with the server's own tokenizer, and finds the likelihoods
that transformers computes from the same weights."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench.export_hf import export
from server.weights.pull import pull
from tests.clients.environments import EVALUATION, python
from tests.server.conftest import Running

TASKS = Path(__file__).parent / "evaluation"
SECONDS = 900.0
TOLERANCE = 0.25  # nats of a continuation: the server's weights have 4 bits and its pages 16
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("batch", [1, 4])
def test_lm_eval(served: Running, tmp_path: Path, batch: int) -> None:
    results, samples = _evaluate(served, tmp_path, batch)
    assert results["facts"]["acc,none"] == 1.0
    assert results["echoes"]["exact_match,stripped"] == pytest.approx(1 / 3)
    assert [sample["filtered_resps"][0] for sample in samples["echoes"]][1] == "4"
    found = [(*arguments(sample, i), *sample["filtered_resps"][i]) for sample in samples["facts"] for i in range(len(sample["arguments"]))]
    oracle = _Oracle(tmp_path / "published")
    for context, continuation, likelihood, is_greedy in found:
        expected, expected_greedy = oracle.likelihood(context, continuation)
        assert float(likelihood) == pytest.approx(expected, abs=TOLERANCE), (context, continuation)
        assert (str(is_greedy) == "True") == expected_greedy, (context, continuation)


def arguments(sample: dict[str, Any], index: int) -> tuple[str, str]:
    given = sample["arguments"][f"gen_args_{index}"]
    return given["arg_0"], given["arg_1"]


def _evaluate(served: Running, folder: Path, batch: int) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """The results, and the samples in their order, by task."""
    for file in TASKS.iterdir():
        (folder / file.name).write_text(file.read_text().replace("FOLDER", str(folder)))
    options = {"model": "smollm2", "base_url": f"{served.url}/v1/completions", "max_length": 2048, "num_concurrent": batch}
    command = [python("evaluation", *EVALUATION), "-m", "lm_eval", "run", "--model", "local-completions"]
    command += ["--model_args", ",".join(f"{name}={value}" for name, value in options.items()), "--batch_size", str(batch)]
    command += ["--tasks", "facts,echoes", "--include_path", folder, "--log_samples", "--output_path", folder / "out"]
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "hub")}
    done = subprocess.run(command, env={**kept, **offline}, cwd=folder, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    [results] = (folder / "out").rglob("results_*.json")
    return json.loads(results.read_text())["results"], {task: _samples(folder / "out", task) for task in ("facts", "echoes")}


def _samples(folder: Path, task: str) -> list[dict[str, Any]]:
    [file] = folder.rglob(f"samples_{task}_*.jsonl")
    return sorted(map(json.loads, file.read_text().splitlines()), key=lambda sample: sample["doc_id"])


class _Oracle:
    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        export(pull("smollm2"), folder)
        self._torch = torch
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self._tokenizer = AutoTokenizer.from_pretrained(folder)

    def likelihood(self, context: str, continuation: str) -> tuple[float, bool]:
        """Its logarithm, and whether every token is the likeliest."""
        start, tokens = len(self._tokenizer.encode(context)), self._tokenizer.encode(context + continuation)
        with self._torch.no_grad():
            scores = self._model(self._torch.tensor([tokens])).logits[0, :-1].log_softmax(-1)
        places = range(start - 1, len(tokens) - 1)
        return sum(scores[i, tokens[i + 1]].item() for i in places), all(scores[i].argmax().item() == tokens[i + 1] for i in places)
