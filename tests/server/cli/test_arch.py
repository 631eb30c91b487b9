"""`stoa arch` of an encoder, which has no caches. Decoders: test_settings.py, through the command itself."""

from pathlib import Path

from server.cli.arch import describe_model
from tests.models.encoder_world import make, tokenizer
from tests.models.test_encoders import tiny


def test_encoder(tmp_path: Path) -> None:
    make(tiny("bert")).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    lines = describe_model(str(tmp_path)).splitlines()
    assert lines[0].endswith(": BertModel") and lines[1].split() == ["layers", "3"]
    assert lines[-1].split(maxsplit=1) == ["remembers", "nothing: an encoder reads whole texts"]
