"""What guessing tokens ahead gains and costs: the same answers with and without it, in turns on one engine, and whether their tokens are
the same. Texts to be repeated, some of which are changed, and ordinary chat; greedy, and drawn with a seed.

python -m bench.speculation MODEL_FOLDER --json results.json        some minutes
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from bench.report import tell
from engine.api import Request, Sampling
from engine.embedded.core import Core
from engine.embedded.load import LoadedModel, LoadOptions, inference_thread, load_model
from engine.embedded.memory.memory import Memory
from engine.embedded.sampling.sampler import TokenSampler
from engine.embedded.scheduler import Limits
from engine.embedded.sequence import Sequence
from engine.embedded.speculation.ngram import NGrams
from engine.embedded.step.inputs import Inputs, largest_step
from engine.embedded.step.runner import Runner

LIMITS, CONTEXT, LENGTH = Limits(max_running=8, max_waiting=8, max_step_tokens=512, mixed_step_tokens=16), 2048, 160
TEXT = """The harbour of Lindwick was built in 1874 by the engineer Maria Holt. It has two stone piers, each 310 metres long, and a \
lighthouse whose lamp can be seen from 22 sea miles. In the winter of 1902 a storm broke the northern pier in three places; it was \
repaired within eight months. Today 140 fishing boats and a ferry to the island of Osmund use the harbour every week."""
CODE = """def total_price(items, tax_rate):
    subtotal = 0
    for item in items:
        subtotal += item.price * item.quantity
    tax = subtotal * tax_rate
    return subtotal + tax


def average_price(items):
    if not items:
        return 0
    total = sum(item.price for item in items)
    return total / len(items)"""
RULES = """Guests may borrow up to four books at a time. Every book must be returned within 21 days, or a fee of 30 cents is charged for \
each day that follows. Children under twelve need the signature of a parent. Maps and newspapers stay in the reading room, which is open \
from Tuesday to Saturday between nine and half past six."""
BREAD = """Mix 500 grams of flour with 350 grams of water and let it rest for forty minutes. Add 10 grams of salt and 90 grams of \
sourdough, and fold the dough four times within two hours. Let it rise in the fridge overnight. Bake it at 240 degrees for twenty minutes \
with the lid on, and at 220 degrees for twenty-five minutes without."""
COPIES = tuple(f"Repeat the following text word for word, and write nothing else.\n\n{text}" for text in (TEXT, RULES, BREAD))
EDITS = (
    f"Copy this Python code exactly, without any change or explanation.\n\n{CODE}",
    f"Write this text down once more, exactly as it is:\n\n{TEXT}",
)  # which a small model does in words of its own
CHATS = (
    "What is the capital of France, and what is it known for?",
    "Explain how a bicycle stays upright.",
    "Write a short poem about the sea in winter.",
    "Give me three tips for learning a new language.",
    "Why is the sky blue? Explain it to a child.",
    "What is the difference between a virus and a bacterium?",
)


@dataclass
class Asked:
    kind: str
    prompt: list[int]
    sampling: Sampling


class Bench:
    def __init__(self, loaded: LoadedModel) -> None:
        self._memory = Memory(loaded.pages, slots=loaded.slots)
        inputs = Inputs(largest_step(LIMITS, CONTEXT), tuple(loaded.pages), loaded.device, context=CONTEXT, slots=loaded.slots)
        self.core = Core(Runner(loaded.model, inputs, loaded.recorder), self._memory, LIMITS, drafter=NGrams())
        self._arrivals = 0

    def answer(self, asked: Asked, *, speculative: bool) -> tuple[list[int], float]:
        """Tokens, and the seconds from the first to the last."""
        request = Request(tokens=tuple(asked.prompt), sampling=asked.sampling, speculative=speculative)
        limit = len(asked.prompt) + asked.sampling.max_tokens
        sampler = TokenSampler(asked.sampling, asked.sampling.seed or 0, request.tokens)
        seq = Sequence(request, self._arrivals, limit, self._memory.tables(limit), sampler)
        self._arrivals += 1
        self.core.add(seq)
        while not seq.generated:
            self.core.step()
        began = time.perf_counter()
        while seq.finish is None:
            self.core.step()
        return seq.tokens[seq.prompt : seq.length].tolist(), time.perf_counter() - began


def questions(folder: Path, end: frozenset[int]) -> list[Asked]:
    """As ChatML."""
    tokenizer, asked = Tokenizer.from_file(str(folder / "tokenizer.json")), list[Asked]()
    for kind, texts in (("copy", COPIES), ("edit", EDITS), ("chat", CHATS)):
        for i, text in enumerate(texts):
            prompt = tokenizer.encode(f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n", add_special_tokens=False).ids
            for name, temperature in (("greedy", 0.0), ("seeded", 0.7 if kind == "chat" else 0.3)):
                sampling = Sampling(max_tokens=LENGTH, temperature=temperature, seed=i, stop_tokens=end)
                asked.append(Asked(f"{kind}, {name}", prompt, sampling))
    return asked


def measured(bench: Bench, asked: list[Asked], rounds: int) -> list[dict[str, Any]]:
    """By kind; of each answer the fastest of all rounds counts."""
    rows = dict[str, dict[str, Any]]()
    for each in asked:
        row = rows.setdefault(each.kind, {"kind": each.kind, "answers": 0, "tokens": 0, "without_s": 0.0, "with_s": 0.0, "identical": True})
        before, best = bench.core.stats(), [float("inf"), float("inf")]
        for _ in range(rounds):
            (plain, without), (quick, with_) = (bench.answer(each, speculative=speculative) for speculative in (False, True))
            best = [min(best[0], without), min(best[1], with_)]
            row["identical"] &= plain == quick
        after = bench.core.stats()
        row["answers"] += 1
        row["tokens"] += (bench.core.stats().generated_tokens - before.generated_tokens) // (2 * rounds)
        row["without_s"] += best[0]
        row["with_s"] += best[1]
        row["drafted"] = row.get("drafted", 0) + (after.drafted_tokens - before.drafted_tokens) // rounds
        row["accepted"] = row.get("accepted", 0) + (after.accepted_tokens - before.accepted_tokens) // rounds
    return [
        {
            **row,
            "without_s": round(row["without_s"], 2),
            "with_s": round(row["with_s"], 2),
            "faster": round(row["without_s"] / row["with_s"], 2),
        }
        for row in rows.values()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.speculation", description=__doc__)
    parser.add_argument("model", type=Path, help="a prepared folder of a model that is asked as ChatML, as SmolLM2's")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    loaded = load_model(options.model, LoadOptions(kv_memory=256 << 20, context=CONTEXT, limits=LIMITS))
    with inference_thread(loaded.threads, torch.device("cpu")):
        rows = measured(Bench(loaded), questions(options.model, frozenset(loaded.end_tokens)), options.rounds)
    tell(rows, "python -m bench.speculation", options.json)


if __name__ == "__main__":
    main()
