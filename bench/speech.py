"""How long real speech takes to be written down: our server's transcriber with whisper-tiny, against transformers with the same weights
and, where another environment has it, faster-whisper with the same folder. All in turns, on the same threads; the median of the rounds.

python -m bench.speech                               needs transformers; some minutes
python -m bench.speech --peer OTHER/bin/python       an environment with faster-whisper
"""

import argparse
import asyncio
import json
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

from bench.report import machine
from models.ctranslate2.file import CTranslate2
from models.quant import dense
from server.runtime.loading.speech import open_speech_model
from server.runtime.settings import Settings
from server.speech.api import RATE, Samples, Segment, SpeechTask
from server.speech.model import SpeechModel
from server.speech.recording import SampleArray
from server.weights.pull import pull

SPEECH = Path(__file__).parents[1] / "tests" / "data" / "speech" / "sentences.ogg"
SECONDS, TOGETHER = 60, 4
Work = Callable[[], float]  # seconds

NAMES = (  # CTranslate2's and transformers'
    (r"/layer_norm/gamma$", "_layer_norm.weight"),
    (r"/layer_norm/beta$", "_layer_norm.bias"),
    (r"/self_attention_layer_norm", "/self_attn_layer_norm"),
    (r"(decoder/layer_\d+)/attention_layer_norm", r"\1/encoder_attn_layer_norm"),
    (r"/ffn_layer_norm", "/final_layer_norm"),
    (r"^(encoder|decoder)_layer_norm", r"\1/layer_norm"),
    (r"/ffn/linear_0/", "/fc1/"),
    (r"/ffn/linear_1/", "/fc2/"),
    (r"/position_encodings/encodings$", "/embed_positions.weight"),
    (r"/embeddings/weight$", "/embed_tokens.weight"),
    (r"/layer_(\d+)/", r"/layers/\1/"),
)
JOINED = {
    "self_attention/linear_0": ("self_attn", ("q_proj", "k_proj", "v_proj")),
    "self_attention/linear_1": ("self_attn", ("out_proj",)),
    "attention/linear_0": ("encoder_attn", ("q_proj",)),
    "attention/linear_1": ("encoder_attn", ("k_proj", "v_proj")),
    "attention/linear_2": ("encoder_attn", ("out_proj",)),
}


def hugging_face(source: Path, target: Path) -> None:
    """The same weights in the layout that transformers reads."""
    file, tensors = CTranslate2(source / "model.bin"), dict[str, torch.Tensor]()
    for name in file:
        if name != "decoder/projection/weight":
            tensors |= {f"model.{ours.replace('/', '.')}": value.contiguous() for ours, value in _named(name, dense(file[name])).items()}
    dim, vocab = tensors["model.encoder.conv1.weight"].shape[0], tensors["model.decoder.embed_tokens.weight"].shape[0]
    layers = 1 + max(int(found[1]) for name in tensors if (found := re.search(r"decoder\.layers\.(\d+)\.", name)))
    heads = int(file.settings["decoder/num_heads"])
    sizes: dict[str, Any] = {"d_model": dim, "encoder_layers": layers, "decoder_layers": layers, "vocab_size": vocab}
    sizes |= {"encoder_attention_heads": heads, "decoder_attention_heads": heads, "encoder_ffn_dim": 4 * dim, "decoder_ffn_dim": 4 * dim}
    config = WhisperConfig(**sizes, decoder_start_token_id=50257, architectures=["WhisperForConditionalGeneration"])
    config.save_pretrained(target)
    save_file(tensors, target / "model.safetensors", {"format": "pt"})


def ctranslate2(source: Path, target: Path) -> Path:
    """The same weights with the list of tokens that CTranslate2 wants beside them."""
    target.mkdir()
    for name in ("model.bin", "tokenizer.json"):
        (target / name).symlink_to((source / name).resolve())
    ids = Tokenizer.from_file(str(source / "tokenizer.json")).get_vocab(with_added_tokens=True)
    count = CTranslate2(source / "model.bin").shapes["decoder/embeddings/weight"][0]
    named, first = {number: token for token, number in ids.items()}, max(ids.values()) + 1
    tokens = [named.get(number, f"<|{(number - first) * 0.02:.2f}|>") for number in range(count)]
    (target / "vocabulary.json").write_text(json.dumps(tokens))
    told = json.loads((source / "generation_config.json").read_text())
    ids_of = {"suppress_ids": told["suppress_tokens"], "suppress_ids_begin": told["begin_suppress_tokens"], "lang_ids": []}
    (target / "config.json").write_text(json.dumps(ids_of | {"alignment_heads": told["alignment_heads"]}))
    return target


def _named(name: str, value: torch.Tensor) -> Mapping[str, torch.Tensor]:
    for theirs, (part, matrices) in JOINED.items():
        if found := re.fullmatch(rf"(encoder|decoder)/layer_(\d+)/{theirs}/(weight|bias)", name):
            stack, layer, field = found.groups()
            pieces = zip(matrices, value.chunk(len(matrices)), strict=True)
            kept = ((matrix, piece) for matrix, piece in pieces if (matrix, field) != ("k_proj", "bias"))  # zeros
            return {f"{stack}/layers/{layer}/{part}/{matrix}/{field}": piece for matrix, piece in kept}
    for theirs, ours in NAMES:
        name = re.sub(theirs, ours, name)
    return {name: value}


class Ours:
    """As the server opens it."""

    def __init__(self, threads: int) -> None:
        self.model = open_speech_model(Settings(threads=threads), "whisper-tiny", lambda *_: None)
        self.text = ""

    def recording(self) -> Samples:
        async def decode() -> Samples:
            async with self.model.decoder.decode(SPEECH) as recording:
                return recording.read(0, recording.samples)

        return asyncio.run(decode())

    def hear(self, recordings: list[Samples], *, together: bool) -> float:
        """Each as if it were another one: what was read of one is not remembered for the next."""
        began = time.perf_counter()
        texts = asyncio.run(_all(self.model, recordings, together=together))
        self.text = texts[0]
        return time.perf_counter() - began


async def _all(model: SpeechModel, recordings: list[Samples], *, together: bool) -> list[str]:
    if together:
        return await asyncio.gather(*(_heard(model, samples) for samples in recordings))
    return [await _heard(model, samples) for samples in recordings]


async def _heard(model: SpeechModel, samples: Samples) -> str:
    async with aclosing(model.transcriber.transcribe(SampleArray(samples), SpeechTask())) as steps:
        return "".join([step.text async for step in steps if isinstance(step, Segment)])


class Theirs:
    """transformers' own long form."""

    def __init__(self, folder: Path, dtype: torch.dtype, tokens: Mapping[str, Any]) -> None:
        self._model = WhisperForConditionalGeneration.from_pretrained(folder, dtype=dtype).eval()
        told: dict[str, Any] = {"no_timestamps_token_id": 50362, "eos_token_id": 50256, "bos_token_id": 50256, "pad_token_id": 50256}
        told |= {"is_multilingual": False, "max_initial_timestamp_index": 50, "decoder_start_token_id": 50257, "max_length": 448}
        told |= {name: tokens[name] for name in ("suppress_tokens", "begin_suppress_tokens")}
        for name, value in told.items():  # its `update` leaves out what it does not know
            setattr(self._model.generation_config, name, value)
        self._features = WhisperFeatureExtractor()

    @torch.inference_mode()
    def hear(self, samples: Samples) -> float:
        began = time.perf_counter()
        given = self._features(
            samples, sampling_rate=RATE, return_tensors="pt", truncation=False, padding="longest", return_attention_mask=True
        )
        frames = given.input_features.to(self._model.dtype)
        options: dict[str, Any] = {"logprob_threshold": -1.0, "no_speech_threshold": 0.6, "compression_ratio_threshold": 1.35}
        self._model.generate(
            input_features=frames, attention_mask=given.attention_mask, return_timestamps=True, do_sample=False, temperature=0.0, **options
        )
        return time.perf_counter() - began


PEER = """
import json, sys, time
import numpy as np
from faster_whisper import WhisperModel
folder, samples, threads, kind = sys.argv[1:]
model = WhisperModel(folder, device="cpu", compute_type=kind, cpu_threads=int(threads))
audio = np.load(samples)
for _ in sys.stdin:
    began = time.perf_counter()
    found = list(model.transcribe(audio, language="en", beam_size=1)[0])
    print(json.dumps({"seconds": time.perf_counter() - began, "text": "".join(s.text for s in found)}), flush=True)
"""


class Peer:
    """faster-whisper, greedily, in an environment of its own."""

    def __init__(self, python: str, folder: Path, samples: Path, threads: int, kind: str) -> None:
        command = [python, "-c", PEER, str(folder), str(samples), str(threads), kind]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def hear(self) -> float:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())["seconds"]

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def other(samples: Samples, number: int) -> Samples:
    """The same speech as a recording of its own: a sound below hearing makes it another content."""
    return (samples + 1e-6 * np.sin(np.arange(len(samples)) * (number + 1) * 1e-3)).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peer", help="the Python of an environment with faster-whisper")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        found, text = measure(options.rounds, options.threads, options.peer, Path(folder))
    report = {"machine": machine(), "threads": options.threads, "rounds": options.rounds, "seconds": found, "text": text}
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    show(found)


def measure(rounds: int, threads: int, peer: str | None, folder: Path) -> tuple[dict[str, float], str]:
    source = pull("whisper-tiny")
    hugging_face(source, folder)
    tokens = json.loads((source / "generation_config.json").read_text())
    ours = Ours(threads)
    once = ours.recording()
    speech = np.tile(once, -(-SECONDS * RATE // len(once)))[: SECONDS * RATE]
    np.save(folder / "speech.npy", speech)
    works: dict[str, Callable[[int], float]] = {
        "ours": lambda i: ours.hear([other(speech, i)], together=False),
        "ours, four one after the other": lambda i: ours.hear([other(speech, 100 * i + n) for n in range(4, 8)], together=False),
        "ours, four at once": lambda i: ours.hear([other(speech, 100 * i + n) for n in range(8, 12)], together=True),
    }
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        theirs = Theirs(folder, dtype, tokens)
        works[f"transformers, {name}"] = lambda _, theirs=theirs: theirs.hear(speech)
    theirs_folder = ctranslate2(source, folder / "ctranslate2")
    peers = [Peer(peer, theirs_folder, folder / "speech.npy", threads, kind) for kind in ("float32", "int8")] if peer else []
    for one, kind in zip(peers, ("float32", "int8"), strict=False):
        works[f"faster-whisper, {kind}"] = lambda _, one=one: one.hear()
    times: dict[str, list[float]] = {name: [] for name in works}
    for i in range(rounds + 1):  # the first one warms up
        for name, work in works.items():
            seconds = work(i)
            times[name] += [seconds] if i else []
    for one in peers:
        one.close()
    return {name: median(seconds) for name, seconds in times.items()}, ours.text


def show(found: Mapping[str, float]) -> None:
    table = Table("60 s of speech", "seconds", "ours is")
    for name, seconds in found.items():
        table.add_row(name, f"{seconds:.2f}", "" if name.startswith("ours") else f"{seconds / found['ours']:.2f} × as fast")
    Console().print(table)
    gain = found["ours, four one after the other"] / found["ours, four at once"]
    Console().print(f"four at once: {gain:.2f} × the throughput of one after the other")


if __name__ == "__main__":
    main()
