"""A prepared GGUF directory as Hugging Face safetensors in bfloat16: the same weights for servers that read no GGUF.

python -m bench.export_hf smollm2 OUT
"""

import json
import shutil
import sys
from pathlib import Path

from models.gguf.export import CannotExport, export_weights
from server.weights.pull import pull

ENDS = ("bos_token_id", "eos_token_id", "pad_token_id")


def export(source: Path, target: Path) -> None:
    """Writes `target`: config.json, tokenizer and model.safetensors. No token ends a text: some of the servers that
    are compared cannot be asked to ignore the end, and all must generate equally much."""
    target.mkdir(parents=True, exist_ok=True)
    try:
        config = export_weights(source, target)
    except CannotExport as error:
        raise SystemExit(str(error)) from error
    endless = {key: value for key, value in config.items() if key not in ENDS} | {"eos_token_id": None}
    (target / "config.json").write_text(json.dumps(endless, indent=1))
    (target / "generation_config.json").write_text(json.dumps({"do_sample": False}))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(source / name, target / name)


if __name__ == "__main__":
    export(pull(sys.argv[1]), Path(sys.argv[2]))
