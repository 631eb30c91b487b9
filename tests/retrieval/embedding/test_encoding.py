"""Texts to token ids: what stands around them, what is cut off, and that no text spells a special token."""

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from engine.api import Sentence
from retrieval.embedding.encoding import TextEncoder
from tests.models.encoder_world import tokenizer

WORDS = TextEncoder(tokenizer().backend_tokenizer.to_str())  # w5 is 5, [CLS] 2, [SEP] 3, [UNK] 1
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def wordpiece() -> Tokenizer:
    pieces = [*SPECIAL, "[", "]", "sep", "cl", "##s", "hello", "mask", "é"]
    made = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()  # type: ignore[assignment]
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()  # type: ignore[assignment]
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends)  # type: ignore[assignment]
    made.add_special_tokens(SPECIAL)
    return made


def unigram() -> Tokenizer:
    """Like XLM-R's: the special tokens are words of the vocabulary, and the likeliest of all."""
    vocab = [
        ("<s>", 0.0),
        ("<pad>", 0.0),
        ("</s>", 0.0),
        ("<unk>", 0.0),
        ("▁", -2.0),
        ("▁a", -2.0),
        ("<", -5.0),
        ("/", -5.0),
        ("s", -5.0),
        (">", -5.0),
    ]
    made = Tokenizer(models.Unigram(vocab, unk_id=3))
    made.pre_tokenizer = pre_tokenizers.Metaspace()  # type: ignore[assignment]
    ends = [("<s>", 0), ("</s>", 2)]
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=ends)  # type: ignore[assignment]
    made.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    return made


def test_special_tokens_stand_around_a_text() -> None:
    assert WORDS.single(["w7 w9", "", "w6"], 10) == [Sentence(tokens=(2, 7, 9, 3)), Sentence(tokens=(2, 3)), Sentence(tokens=(2, 6, 3))]
    assert WORDS.overhead == 2
    assert WORDS.count("w7 w9 w9") == 3


def test_what_is_too_long_loses_its_end_and_keeps_its_frame() -> None:
    assert WORDS.single(["w7 w8 w9 w10"], 4) == [Sentence(tokens=(2, 7, 8, 3))]


def test_pairs() -> None:
    assert WORDS.pairs("w7", ["w8 w9", "w6"], 20) == [
        Sentence(tokens=(2, 7, 3, 8, 9, 3), segments=(0, 0, 0, 1, 1, 1)),
        Sentence(tokens=(2, 7, 3, 6, 3), segments=(0, 0, 0, 1, 1)),
    ]


def test_a_pair_loses_the_end_of_its_second_text() -> None:
    (pair,) = WORDS.pairs("w7 w8", ["w9 w10 w11 w12"], 8)
    assert pair.tokens == (2, 7, 8, 3, 9, 10, 11, 3)
    (pair,) = WORDS.pairs("w7 w8 w9 w10 w11", ["w12 w13 w14"], 7)  # the first takes at most half the room
    assert pair.tokens == (2, 7, 8, 3, 12, 13, 3)


def test_empty_texts_in_a_pair() -> None:
    assert WORDS.pairs("", [""], 8)[0].tokens == (2, 3, 3)


@pytest.mark.parametrize("text", ["[SEP]", "hello [SEP] hello", "[CLS][MASK]", "[sep]"])
def test_a_text_spells_no_special_token(text: str) -> None:
    encoding = TextEncoder(wordpiece().to_str())
    (sentence,) = encoding.single([text], 100)
    assert not {0, 2, 3, 4} & set(sentence.tokens[1:-1])
    assert (sentence.tokens[0], sentence.tokens[-1]) == (2, 3)
    assert encoding.single(["[SEP]"], 100)[0].tokens[1:-1] == (5, 7, 6)  # "[", "sep", "]"


@pytest.mark.parametrize("text", ["</s>", "a</s>a <s> <pad>"])
def test_nor_where_the_vocabulary_holds_them_as_words(text: str) -> None:
    made = unigram()
    assert made.encode(text, add_special_tokens=False).ids != []
    (sentence,) = TextEncoder(made.to_str()).single([text], 100)
    assert not {0, 1, 2} & set(sentence.tokens[1:-1])
    assert 3 in sentence.tokens[1:-1]
    assert TextEncoder(made.to_str()).pairs("a", ["a"], 20)[0].tokens == (0, 5, 2, 2, 5, 2)


def test_offsets_are_characters_of_the_text() -> None:
    encoding = TextEncoder(wordpiece().to_str())
    text = "Hello  É[SEP]"
    assert [text[a:b] for a, b in encoding.offsets(text)] == ["Hello", "É", "[", "SEP", "]"]


def test_settings_of_the_file_do_not_count() -> None:
    """A tokenizer.json may have been saved with the truncation and padding of its training."""
    saved = tokenizer().backend_tokenizer
    saved.enable_truncation(3)
    saved.enable_padding(length=9)
    assert TextEncoder(saved.to_str()).single(["w7 w8 w9"], 10)[0].tokens == (2, 7, 8, 9, 3)


def test_lower() -> None:
    shouted = TextEncoder(tokenizer().backend_tokenizer.to_str(), lowercase=True)
    assert shouted.single(["W7"], 10)[0].tokens == (2, 7, 3)
    assert shouted.offsets("W7 w8") == [(0, 2), (3, 5)]


def test_it_agrees_with_transformers() -> None:
    theirs = PreTrainedTokenizerFast(tokenizer_object=wordpiece())
    texts = ["hello é", "HELLO, hello!", "   ", "héllo"]
    ours = TextEncoder(wordpiece().to_str())
    assert [list(s.tokens) for s in ours.single(texts, 100)] == theirs(texts)["input_ids"]
    assert [list(s.tokens) for s in ours.pairs("hello", texts, 100)] == theirs(["hello"] * 4, texts)["input_ids"]
