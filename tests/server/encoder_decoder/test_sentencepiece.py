"""Folders with SentencePiece's files and no tokenizer.json, as most makers of encoder-decoders publish them: prepared, and read as
transformers and SentencePiece itself read them."""

import io
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from tokenizers import Tokenizer
from transformers import M2M100Tokenizer, MarianTokenizer, MBart50Tokenizer, PegasusTokenizer, T5Tokenizer

from server.weights.cache import PullError
from server.weights.pull import pull
from server.weights.sentencepiece.model import NoModel, read_model
from server.weights.sentencepiece.tokenizer import convert
from tests.models.encoder_decoder_world import make
from tests.models.test_encoder_decoders import tiny
from tests.server.encoder_decoder.world import COUNT, World, serving
from tests.server.worlds import CORPUS

TARGET = [
    "Was ist die Hauptstadt von Frankreich? Paris ist die Hauptstadt von Frankreich.",
    "größer, schöner, weiter",
    "Welt 1234567890",
] * 3
LANGUAGES = ["__de__", "__en__", "__fr__"]
FIRST = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
FAIRSEQ = {"unk_id": 0, "bos_id": 1, "eos_id": 2}


def train(file: Path, corpus: Sequence[str], size: int, **options: Any) -> SentencePieceProcessor:
    written = io.BytesIO()
    usual = {"model_type": "unigram", "hard_vocab_limit": False, "minloglevel": 2, "num_threads": 1}
    SentencePieceTrainer.train(sentence_iterator=iter(corpus), model_writer=written, vocab_size=size, **{**usual, **options})
    file.write_bytes(written.getvalue())
    return SentencePieceProcessor(model_file=str(file))


def texts(seed: int) -> list[str]:
    """Pieces of what was seen, spaces and characters that were not."""
    rnd, seen = random.Random(seed), [*" ".join(CORPUS), *"  \t日本ß→\u00a0ﬁ①"]
    return [*CORPUS[:4], "", *("".join(rnd.choices(seen, k=rnd.randint(1, 60))) for _ in range(40))]


def agree(ours: Tokenizer, theirs: Any, seed: int = 0) -> None:
    for text in texts(seed):
        assert ours.encode(text).ids == theirs(text).input_ids, repr(text)


def config(folder: Path, family: str, vocab: int, **settings: Any) -> None:
    (folder / "config.json").write_text(json.dumps(tiny(family, vocab_size=vocab)))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def converted(folder: Path) -> Tokenizer:
    made = convert(folder)
    assert made is not None
    return made


@pytest.mark.parametrize("kind", ["unigram", "bpe"])
def test_every_piece_is_read(kind: str, tmp_path: Path) -> None:
    size, fallback = {"unigram": (150, False), "bpe": (400, True)}[kind]
    theirs = train(tmp_path / "x.model", CORPUS, size, model_type=kind, byte_fallback=fallback, **FAIRSEQ)
    model = read_model(tmp_path / "x.model")
    assert [piece.text for piece in model.pieces] == [theirs.id_to_piece(i) for i in range(theirs.get_piece_size())]
    assert [piece.score for piece in model.pieces] == [theirs.get_score(i) for i in range(theirs.get_piece_size())]
    assert (model.unknown, model.byte_fallback, model.trims, model.dummy_prefix) == (0, kind == "bpe", True, True) and model.charsmap


@pytest.mark.parametrize("damage", [b"", b"\xff" * 40, b"{}"])
def test_what_is_no_model_is_told(damage: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.model").write_bytes(damage)
    with pytest.raises(NoModel, match=r"x\.model"):
        read_model(tmp_path / "x.model")


def test_t5(tmp_path: Path) -> None:
    train(tmp_path / "spiece.model", CORPUS, 150, **FIRST)
    config(tmp_path, "t5", 300, extra_ids=7)
    theirs = T5Tokenizer.from_pretrained(tmp_path, extra_ids=7)
    ours = converted(tmp_path)
    agree(ours, theirs)
    assert ours.token_to_id("<extra_id_0>") == theirs.convert_tokens_to_ids("<extra_id_0>")


def test_pegasus(tmp_path: Path) -> None:
    """transformers' own tokenizer keeps a space at the end, SentencePiece does not."""
    pieces = train(tmp_path / "spiece.model", CORPUS, 150, **FIRST)
    config(tmp_path, "pegasus", 300)
    theirs, ours = PegasusTokenizer.from_pretrained(tmp_path), converted(tmp_path)
    assert ours.encode(CORPUS[0]).ids == theirs(CORPUS[0]).input_ids
    for text in texts(0):
        assert ours.encode(text).ids == [*(piece + 103 for piece in pieces.encode(text)), 1], repr(text)


def test_mbart50(tmp_path: Path) -> None:
    pieces = train(tmp_path / "sentencepiece.bpe.model", CORPUS, 150, **FAIRSEQ)
    theirs: Any = MBart50Tokenizer.from_pretrained(tmp_path, src_lang="en_XX")
    codes = [code for code in theirs.convert_ids_to_tokens(range(len(theirs))) if len(code) == 5 and code[2] == "_" and code[3:].isupper()]
    config(tmp_path, "mbart", 300, additional_special_tokens=codes, src_lang="en_XX", tokenizer_class="MBart50Tokenizer")
    ours = converted(tmp_path)
    assert ours.encode(CORPUS[0]).ids == theirs(CORPUS[0]).input_ids
    for text in texts(0):
        read = [piece + 1 if piece else 3 for piece in pieces.encode(text)]
        assert ours.encode(text).ids == [theirs.convert_tokens_to_ids("en_XX"), *read, 2], repr(text)


def m2m(folder: Path) -> World:
    """Half of the pieces have no number."""
    pieces = train(folder / "sentencepiece.bpe.model", CORPUS, 150, model_type="bpe", **FAIRSEQ)
    names = ["<s>", "<pad>", "</s>", "<unk>", *(pieces.id_to_piece(i) for i in range(3, pieces.get_piece_size()) if i % 9)]
    (folder / "vocab.json").write_text(json.dumps({name: i for i, name in enumerate(names)}))
    theirs = M2M100Tokenizer(str(folder / "vocab.json"), str(folder / "sentencepiece.bpe.model"), src_lang="en", tgt_lang="de")
    languages = [theirs.get_lang_token(code) for code in theirs.lang_code_to_id]
    model: Any = make(tiny("m2m_100", vocab_size=len(names) + len(languages) + 8))
    model.generation_config.forced_eos_token_id = None
    model.save_pretrained(folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({"additional_special_tokens": languages, "src_lang": "en"}))
    return World(folder, theirs, model)


def marian(folder: Path) -> World:
    source, target = train(folder / "source.spm", CORPUS, 150), train(folder / "target.spm", TARGET, 120)
    pieces = dict.fromkeys(model.id_to_piece(i) for model in (source, target) for i in range(3, model.get_piece_size()))
    names = ["</s>", "<unk>", *list(pieces)[1:], ">>deu<<", ">>fra<<", ">>cmn_Hans<<", "<pad>"]  # the first piece has no number
    (folder / "vocab.json").write_text(json.dumps({name: i for i, name in enumerate(names)}))
    theirs = MarianTokenizer(str(folder / "source.spm"), str(folder / "target.spm"), str(folder / "vocab.json"))
    pad = {"pad_token_id": len(names) - 1, "decoder_start_token_id": len(names) - 1}
    model: Any = make(tiny("marian", vocab_size=len(names), decoder_vocab_size=len(names), **pad))
    model.generation_config.forced_eos_token_id = None
    model.generation_config.bad_words_ids = [[len(names) - 1]]
    model.save_pretrained(folder)
    return World(folder, theirs, model)


@pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")
@pytest.mark.parametrize(("family", "target", "prefix"), [(m2m, "de", ""), (marian, "zh", ">>cmn_Hans<< "), (marian, "de", ">>deu<< ")])
def test_pulled_and_served(family: Any, target: str, prefix: str, tmp_path: Path) -> None:
    source, home = tmp_path / "source", tmp_path / "home"
    source.mkdir()
    world = family(source)
    folder = pull(str(source), cache=home)
    assert folder != source and pull(str(source), cache=home) == folder
    told = {"forced_bos_token_id": world.tokenizer.get_lang_id(target)} if family is m2m else {}
    with serving(folder) as client:
        for text in texts(1)[:12]:
            if family is marian and set(text) & set("ß→日本"):
                continue  # of which only the target knows some
            choice = client.complete(text, model=f"tiny:{target}")
            assert choice["prompt_token_ids"] == world.read(prefix + text), repr(text)
            tokens, said = world.answer(prefix + text, max_new_tokens=COUNT, **told)
            assert choice["token_ids"] == tokens
            assert family is m2m or choice["text"].strip() == said  # their M2M-100 shows tokens of languages, and such as have no name


@pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")
def test_marian_is_told_its_target(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    world = marian(source)
    with serving(pull(str(source), cache=tmp_path / "home")) as client:
        assert "there are deu, fra, cmn_Hans" in client.complete("x", 400)["message"]
        assert client.complete(">>fra<< capital", 200)["prompt_token_ids"] == world.read(">>fra<< capital")
        error = client.chat("x", 400, chat_template_kwargs={"source_language": "en", "target_language": "de"})
        assert error["param"] == "chat_template_kwargs.source_language" and "by itself" in error["message"]


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    train(tmp_path / "sentencepiece.bpe.model", CORPUS, 150, **FAIRSEQ)
    config(tmp_path, "mbart", 300)
    with pytest.raises(PullError, match="names no languages"):
        convert(tmp_path)
    config(tmp_path, "m2m_100", 300, additional_special_tokens=LANGUAGES)
    with pytest.raises(PullError, match=r"nor a vocab\.json"):
        convert(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    assert convert(tmp_path) is None
