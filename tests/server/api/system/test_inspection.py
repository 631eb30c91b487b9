"""POST /v1/architectures/inspect: what engines tell of a text, in JSON. What they tell is held to transformers in tests/engine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.api import ChosenExperts, Inspection, Unsupported
from tests.server.fakes import FakeEngine, ask, ready, says, text

TEXT = text()


@dataclass
class Inspected(FakeEngine):
    """Two layers of attention with two heads, in which each token looks at all before it alike; the second has experts."""

    async def inspect(self, tokens: Sequence[int], layer: int | None = None) -> Inspection:
        if layer is not None and layer > 1:
            raise Unsupported("layer: there is none")
        lower = np.tril(np.ones((2, len(tokens), len(tokens)), np.float32))
        chosen = np.tile(np.asarray([[3, 1]]), (len(tokens), 1))
        experts = {1: ChosenExperts(4, chosen, np.full(chosen.shape, 0.5, np.float32))}
        return Inspection({0: 2, 1: 2}, layer or 0, lower / lower.sum(-1, keepdims=True), experts)


def post(engine: FakeEngine, status: int = 200, **body: Any) -> Any:
    app, _ = ready(engine, TEXT)
    answer = ask(app, "POST", "/v1/architectures/inspect", json=body)
    assert answer.status_code == status, answer.text
    return answer.json() if status == 200 else answer.json()["error"]


def test_what_is_told() -> None:
    told = post(Inspected(says("Hi.", TEXT)), input="a quick fox", layer=1, head=1)
    count = len(told["tokens"])
    assert "".join(token["text"] for token in told["tokens"]).endswith("a quick fox") and count > 1
    assert told["layers"] == [{"layer": 0, "heads": 2}, {"layer": 1, "heads": 2}]
    weights = told["attention"].pop("weights")
    assert told["attention"] == {"layer": 1, "head": 1} and weights[1] == [0.5, 0.5, *[0.0] * (count - 2)]
    assert told["experts"] == [{"layer": 1, "experts": 4, "chosen": [[3, 1]] * count, "weights": [[0.5, 0.5]] * count}]


def test_what_is_refused() -> None:
    engine = Inspected(says("Hi.", TEXT))
    assert post(engine, 400, input="a", head=2)["param"] == "head"
    assert "layer" in post(engine, 400, input="a", layer=7)["message"]
    assert post(engine, 400, input="fox " * 500)["code"] == "too_large"
    assert post(engine, 400, input="")["param"] == post(engine, 400, input="x" * 5000)["param"] == "input"
    assert post(FakeEngine(says("Hi.", TEXT)), 400, input="a")["code"] == "unsupported"
    assert post(engine, 404, input="a", model="nobody")["code"] == "model_not_found"
