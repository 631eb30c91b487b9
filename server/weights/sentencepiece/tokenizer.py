"""tokenizer.json of encoder-decoders that come with SentencePiece's files alone: T5 and PEGASUS (`spiece.model`), mBART
(`sentencepiece.bpe.model`), M2M-100 and Marian (with the numbers of pieces in `vocab.json`). As transformers' tokenizers have it, but for
two things: Marian reads a character that only its target's model knows as that model's piece, not as unknown, and punctuation is not
normalized by sacremoses (which transformers does where that is installed)."""

import json
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from server.weights.cache import PullError
from server.weights.sentencepiece.model import BPE, BYTE, NORMAL, NoModel, Piece, SentencePieceModel, read_model

SPACE = "▁"
NEVER = -1e6  # score of a piece that the source's model does not have
FAIRSEQ = ["<s>", "<pad>", "</s>", "<unk>"]
MASKED = 103  # PEGASUS's tokens before its pieces
Json = Mapping[str, Any]


def convert(folder: Path) -> Tokenizer | None:
    """None where the folder has no such files. Raises PullError."""
    config, settings = _read(folder / "config.json"), _read(folder / "special_tokens_map.json") | _read(folder / "tokenizer_config.json")
    made = CONVERTERS.get(config.get("model_type", ""))
    try:
        return None if made is None or not _pieces_file(folder) else made(folder, config, settings)
    except NoModel as error:
        raise PullError(str(error)) from error


def t5_tokenizer(folder: Path) -> Tokenizer | None:
    """Of a folder that holds T5's tokenizer and nothing else. None where it has no spiece.model. Raises PullError."""
    settings = _read(folder / "special_tokens_map.json") | _read(folder / "tokenizer_config.json")
    try:
        return _t5(folder, {}, settings) if _pieces_file(folder) else None
    except NoModel as error:
        raise PullError(str(error)) from error


def _pieces_file(folder: Path) -> Path | None:
    names = ("spiece.model", "sentencepiece.bpe.model", "source.spm")
    return next((folder / name for name in names if (folder / name).exists()), None)


def _pieces(folder: Path) -> SentencePieceModel:
    file = _pieces_file(folder)
    assert file is not None  # looked for by `convert`
    return read_model(file)


def _t5(folder: Path, config: Json, settings: Json) -> Tokenizer:
    model = _pieces(folder)
    extra = [f"<extra_id_{i}>" for i in reversed(range(settings.get("extra_ids", 100)))]
    pieces = [*model.pieces, *map(Piece, extra)]
    return _finished(_unigram(model, pieces, model.unknown), model, ["<pad>", "</s>", "<unk>", *reversed(extra)], "$A </s>")


def _pegasus(folder: Path, config: Json, settings: Json) -> Tokenizer:
    model, offset = _pieces(folder), settings.get("offset", MASKED)
    masks = ["<mask_1>", "<mask_2>", *(f"<unk_{i}>" for i in range(2, offset))][: max(0, offset)]
    first = ["<pad>", "</s>", *masks]
    pieces = [*map(Piece, first), *model.pieces[2:]]
    return _finished(_unigram(model, pieces, len(first) + model.unknown - 2), model, [*first, "<unk>"], "$A </s>")


def _mbart(folder: Path, config: Json, settings: Json) -> Tokenizer:
    model, languages = _pieces(folder), _languages(folder, settings)
    pieces = [*map(Piece, FAIRSEQ), *model.pieces[3:], *map(Piece, languages), Piece("<mask>")]
    source = settings.get("src_lang") or "en_XX"
    form = f"{source} $A </s>" if "50" in settings.get("tokenizer_class", "") or len(languages) > 25 else f"$A </s> {source}"
    return _finished(_unigram(model, pieces, 3), model, [*FAIRSEQ, *languages, "<mask>"], form)


def _m2m(folder: Path, config: Json, settings: Json) -> Tokenizer:
    model, languages, numbers = _pieces(folder), _languages(folder, settings), _numbers(folder)
    vocab = numbers | {language: len(numbers) + i for i, language in enumerate(languages)}
    source = f"__{settings.get('src_lang') or 'en'}__"
    return _finished(_numbered(model, vocab, config["vocab_size"]), model, [*FAIRSEQ, *languages], f"{source} $A </s>")


def _marian(folder: Path, config: Json, settings: Json) -> Tokenizer:
    model, numbers = _pieces(folder), _numbers(folder)
    if settings.get("separate_vocabs"):
        raise PullError(f"{folder}: a Marian model with two vocabularies cannot be used without a tokenizer.json")
    languages = [name for name in numbers if name.startswith(">>") and name.endswith("<<")]
    return _finished(_numbered(model, numbers, config["vocab_size"]), model, ["</s>", "<unk>", "<pad>", *languages], "$A </s>")


CONVERTERS: Mapping[str, Callable[[Path, Json, Json], Tokenizer]] = {
    "t5": _t5,
    "umt5": _t5,
    "pegasus": _pegasus,
    "mbart": _mbart,
    "m2m_100": _m2m,
    "marian": _marian,
}


def _numbers(folder: Path) -> dict[str, int]:
    if not (numbers := _read(folder / "vocab.json")):
        raise PullError(f"{folder} has neither a tokenizer.json nor a vocab.json: the numbers of its tokens are not known")
    return numbers


def _languages(folder: Path, settings: Json) -> list[str]:
    listed: list[str | dict[str, str]] = settings.get("additional_special_tokens") or settings.get("extra_special_tokens") or []
    names = [token["content"] if isinstance(token, dict) else token for token in listed]
    if not names:
        raise PullError(f"{folder} has no tokenizer.json, and special_tokens_map.json names no languages: save its tokenizer as a fast one")
    return names


def _unigram(model: SentencePieceModel, pieces: Iterable[Piece], unknown: int) -> Tokenizer:
    if model.kind == BPE:
        raise NoModel("a BPE model where this family has unigrams")
    return Tokenizer(models.Unigram([(piece.text, piece.score) for piece in pieces], unk_id=unknown, byte_fallback=model.byte_fallback))


def _numbered(model: SentencePieceModel, numbers: Mapping[str, int], vocab: int) -> Tokenizer:
    """Pieces by the numbers of a vocab.json; those that it does not have get others from `vocab` on, and are unknown to the model."""
    others = count(vocab)
    vocabulary = dict(numbers) | {
        piece.text: next(others) for piece in model.pieces if piece.kind in (NORMAL, BYTE) and piece.text not in numbers
    }
    if model.kind == BPE:
        return Tokenizer(models.BPE(vocabulary, _merges(model), unk_token="<unk>", fuse_unk=True, byte_fallback=model.byte_fallback))
    scores = {piece.text: piece.score for piece in model.pieces}
    by_number = {number: text for text, number in vocabulary.items()}
    entries = [by_number.get(i, f"<unused_{i}>") for i in range(max(by_number) + 1)]
    return Tokenizer(
        models.Unigram([(text, scores.get(text, NEVER)) for text in entries], unk_id=numbers["<unk>"], byte_fallback=model.byte_fallback)
    )


def _merges(model: SentencePieceModel) -> list[tuple[str, str]]:
    """Two pieces that make a third, the likeliest first."""
    places, found = {piece.text: i for i, piece in enumerate(model.pieces)}, list[tuple[float, int, int, int, str, str]]()
    for piece in model.pieces:
        if piece.kind == NORMAL:
            splits = ((piece.text[:at], piece.text[at:]) for at in range(1, len(piece.text)))
            found += [(-piece.score, -len(a), places[a], places[b], a, b) for a, b in splits if a in places and b in places]
    return [(a, b) for *_, a, b in sorted(found)]


def _finished(made: Tokenizer, model: SentencePieceModel, special: Iterable[str], form: str) -> Tokenizer:
    """`form`: of an input, with the tokens around it."""
    steps: list[Any] = [normalizers.Precompiled(model.charsmap)] if model.charsmap else []
    if model.trims:
        steps += [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    if steps:
        made.normalizer = normalizers.Sequence(steps)
    scheme = "always" if model.dummy_prefix else "never"
    made.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme=scheme)
    made.decoder = decoders.Metaspace(replacement=SPACE, prepend_scheme=scheme)
    names = [AddedToken(name, special=True, normalized=False) for name in special]
    made.add_special_tokens(names)  # pyright: ignore[reportUnknownMemberType] (its stub has no type for the list)
    around = [name for name in form.split() if name != "$A"]
    made.post_processor = processors.TemplateProcessing(single=form, special_tokens=[(name, _number(made, name)) for name in around])
    return made


def _number(made: Tokenizer, name: str) -> int:
    if (number := made.token_to_id(name)) is None:
        raise PullError(f"the tokenizer has no token {name}")
    return number


def _read(file: Path) -> dict[str, Any]:
    """Raises PullError."""
    try:
        return json.loads(file.read_bytes()) if file.exists() else {}
    except ValueError as error:
        raise PullError(f"{file} cannot be read: {error}") from error
