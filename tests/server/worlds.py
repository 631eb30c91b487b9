"""Tokenizers of the kinds that checkpoints have, trained in a blink, and templates in the style of their families."""

import json
from collections.abc import Callable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, Unigram
from tokenizers.trainers import BpeTrainer, UnigramTrainer

CORPUS = [
    "What is the capital of France? The capital of France is Paris.",
    "if a < b and b > c: print('hello, world') # 1234567890",
    "user assistant system turn start end im_start im_end inst",
    "Größe, naïve, Ελλάδα, 東京, 🤖 and other words; some more, some less.\n\n  indented\n",
] * 3
ALPHABET = pre_tokenizers.ByteLevel.alphabet()
BYTES = [f"<0x{b:02X}>" for b in range(256)]

CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nBe good.<|im_end|>\n' }}"
    "{% endif %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA3 = (
    "{{- bos_token }}\n{%- for message in messages %}\n"
    "    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}\n"
    "{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}\n{%- endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ raise_exception('no system messages: ' + message['content']) }}"
    "{% elif message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% for message in messages %}{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
    "{{ '<start_of_turn>' + role + '\n' + (message['content'] | trim) + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
QWEN = (
    "{% for message in messages %}{% set content = message.content %}{% if message.role == 'assistant' %}"
    "{% set reasoning = message.reasoning_content if message.reasoning_content is string else '' %}"
    "{% if not reasoning and '</think>' in content %}{% set content = content.split('</think>')[-1].lstrip('\n') %}{% endif %}{% endif %}"
    "{{ '<|im_start|>' + message.role + '\n' + content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
)


def chatml() -> tuple[Tokenizer, dict[str, str]]:
    """SmolLM2."""
    tokenizer = _byte_level(pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)]))
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    return tokenizer, {"chat_template": CHATML, "bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}


def llama3() -> tuple[Tokenizer, dict[str, str]]:
    split = pre_tokenizers.Split(
        Regex(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"), "isolated"
    )
    tokenizer = _byte_level(pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]))
    tokenizer.add_special_tokens(["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|end_of_text|>"])
    bos = tokenizer.token_to_id("<|begin_of_text|>")
    tokenizer.post_processor = processors.TemplateProcessing(single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", bos)])
    return tokenizer, {"chat_template": LLAMA3, "bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"}


def mistral() -> tuple[Tokenizer, dict[str, str]]:
    """SentencePiece BPE: a space in front of the text, byte fallback, control tokens in the vocabulary."""
    tokenizer = _sentencepiece(["<unk>", "<s>", "</s>", "[INST]", "[/INST]"])
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return tokenizer, {"chat_template": MISTRAL, "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def gemma() -> tuple[Tokenizer, dict[str, str]]:
    """Runs of white space and HTML tags are added tokens, but text."""
    tokenizer = _sentencepiece(["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"])
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in ("\n\n", "\n\n\n", "▁▁", "<h1>", "<table>")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return tokenizer, {"chat_template": GEMMA, "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>"}


def unigram() -> tuple[Tokenizer, dict[str, str]]:
    """The model itself could spell its control tokens from text."""
    tokenizer = Tokenizer(Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    specials = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"]
    trainer = UnigramTrainer(vocab_size=200, special_tokens=specials, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    return tokenizer, {"chat_template": MISTRAL, "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def qwen() -> tuple[Tokenizer, dict[str, str]]:
    """Thinks; the markers of its thoughts are not special tokens."""
    tokenizer, _ = chatml()
    tokenizer.add_tokens(["<think>", "</think>"])
    return tokenizer, {"chat_template": QWEN, "eos_token": "<|im_end|>"}


WORLDS: dict[str, Callable[[], tuple[Tokenizer, dict[str, str]]]] = {
    world.__name__: world for world in (chatml, llama3, mistral, gemma, unigram, qwen)
}


def save(name: str, directory: Path) -> Path:
    tokenizer, config = WORLDS[name]()
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(directory / "tokenizer.json"))
    (directory / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **config}))
    return directory


def _byte_level(pre_tokenizer: pre_tokenizers.PreTokenizer) -> Tokenizer:
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(CORPUS, BpeTrainer(vocab_size=400, initial_alphabet=ALPHABET, show_progress=False))
    return tokenizer


def _sentencepiece(specials: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    trainer = BpeTrainer(vocab_size=500, special_tokens=[*specials, *BYTES], show_progress=False)
    tokenizer.train_from_iterator([f"▁{text.replace(' ', '▁')}" for text in CORPUS], trainer)
    spec = json.loads(tokenizer.to_str())
    spec["added_tokens"] = [t for t in spec["added_tokens"] if t["content"] in specials]  # bytes are ordinary tokens
    return Tokenizer.from_str(json.dumps(spec))
