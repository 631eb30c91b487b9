"""Every encoder gives the rows that transformers gives, for the same random checkpoint."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from models.encoders import open_encoder
from models.families import ENCODERS
from models.quant import WeightsError
from tests.models.encoder_world import make, ours, rows_of, run
from tests.models.world import prompts

LENGTHS = [23, 1, 7, 40]


def tiny(family: str, **changes: Any) -> dict[str, Any]:
    return import_module(f"models.families.encoders.{family}").TINY | changes


def roberta(**changes: Any) -> dict[str, Any]:
    return tiny("roberta", architectures=["RobertaModel"], model_type="roberta", **changes)


ROPES = {"full_attention": {"rope_type": "default", "rope_theta": 500.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 90.0}}
KINDS = ["sliding_attention", "full_attention", "full_attention", "sliding_attention"]

V3 = tiny(  # the shape of its makers' checkpoints
    "deberta_v2", pos_att_type="p2c|c2p", share_att_key=True, position_biased_input=False, type_vocab_size=0, conv_kernel_size=0
)

BODIES: dict[str, dict[str, Any]] = {
    "bert": tiny("bert"),
    "bert-relu": tiny("bert", hidden_act="relu", layer_norm_eps=1e-12),
    "bert-gelu_new": tiny("bert", hidden_act="gelu_new", type_vocab_size=3),
    "xlm-roberta": tiny("roberta"),
    "roberta": roberta(type_vocab_size=2),
    "modernbert": tiny("modernbert"),
    "modernbert-biases": tiny("modernbert", norm_bias=True, attention_bias=True, mlp_bias=True),
    "longformer": tiny("longformer"),
    "bigbird": tiny("bigbird"),
    "bigbird-full": tiny("bigbird", attention_type="original_full", use_bias=False, rescale_embeddings=False),
    "reformer": tiny("reformer"),
    "reformer-after": tiny("reformer", local_num_chunks_after=1, lsh_num_chunks_after=1, num_buckets=4, num_hashes=1),
    "modernbert-layers": tiny("modernbert", layer_types=KINDS, rope_parameters=ROPES, hidden_activation="silu"),
    "distilbert": tiny("distilbert"),
    "distilbert-sinusoids": tiny("distilbert", sinusoidal_pos_embds=True, activation="relu"),
    "albert": tiny("albert"),
    "albert-relu": tiny("albert", hidden_act="relu", type_vocab_size=3),
    "deberta_v2": tiny("deberta_v2"),
    "deberta_v2-v3": V3,
    "deberta_v2-c2p": tiny(
        "deberta_v2", pos_att_type=["c2p"], position_buckets=-1, max_relative_positions=16, conv_kernel_size=5, conv_act="tanh"
    ),
    "deberta_v2-p2c": tiny("deberta_v2", pos_att_type=["p2c"], norm_rel_ebd="none", type_vocab_size=0, max_relative_positions=-1),
    "deberta_v2-absolute": tiny("deberta_v2", relative_attention=False, norm_rel_ebd="none", conv_kernel_size=0),
    "nomic_bert": tiny("nomic_bert"),
    "nomic_bert-wide": tiny("nomic_bert", head_dim=32, hidden_act="gelu", layer_norm_eps=1e-12),
}


def body(model: PreTrainedModel, tokens: Tensor, **more: Tensor) -> Tensor:
    return run(model.base_model, tokens, **more).last_hidden_state[0]


def words(vocab: int = 256) -> list[Tensor]:
    """Without the numbers of special tokens: RoBERTa counts positions around its padding."""
    return [t.clamp(min=5) for t in prompts(LENGTHS, vocab)]


@pytest.mark.parametrize("name", BODIES)
def test_same_rows(name: str, tmp_path: Path) -> None:
    theirs = make(BODIES[name])
    theirs.save_pretrained(tmp_path)
    want = torch.cat([body(theirs, t) for t in words()])
    assert want.std() > 0.2
    x_TD, y_SE = rows_of(ours(tmp_path), words())
    torch.testing.assert_close(x_TD, want, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(y_SE, torch.stack([x.mean(0) for x in want.split(LENGTHS)]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["bert", "bert-gelu_new", "roberta", "albert-relu", "nomic_bert", "bigbird", "deberta_v2"])
def test_segments(name: str, tmp_path: Path) -> None:
    theirs = make(BODIES[name])
    theirs.save_pretrained(tmp_path)
    kinds = [torch.arange(n) * BODIES[name]["type_vocab_size"] // n for n in LENGTHS]
    want = torch.cat([body(theirs, t, token_type_ids=kind[None]) for t, kind in zip(words(), kinds, strict=True)])
    model = ours(tmp_path)
    x_TD, _ = rows_of(model, words(), kinds)
    torch.testing.assert_close(x_TD, want, rtol=1e-4, atol=1e-4)
    assert (rows_of(model, words())[0] - x_TD).abs().max() > 0.1, "segments change nothing"


CLASSIFIERS: dict[str, dict[str, Any]] = {
    "bert": tiny("bert", architectures=["BertForSequenceClassification"], num_labels=1),
    "bert-3": tiny("bert", architectures=["BertForSequenceClassification"], num_labels=3),
    "xlm-roberta": tiny("roberta", architectures=["XLMRobertaForSequenceClassification"], num_labels=1),
    "roberta": roberta() | {"architectures": ["RobertaForSequenceClassification"], "num_labels": 2},
    "modernbert": tiny("modernbert", architectures=["ModernBertForSequenceClassification"], num_labels=1),
    "reformer": tiny("reformer", architectures=["ReformerForSequenceClassification"], num_labels=2),
    "longformer": tiny("longformer", architectures=["LongformerForSequenceClassification"], num_labels=2),
    "bigbird": tiny("bigbird", architectures=["BigBirdForSequenceClassification"], num_labels=1),
    "modernbert-mean": tiny(
        "modernbert",
        architectures=["ModernBertForSequenceClassification"],
        num_labels=4,
        classifier_pooling="mean",
        classifier_bias=True,
        classifier_activation="relu",
        norm_bias=True,
    ),
    "distilbert": tiny("distilbert", architectures=["DistilBertForSequenceClassification"], num_labels=1),
    "albert": tiny("albert", architectures=["AlbertForSequenceClassification"], num_labels=3),
    "deberta_v2": V3 | {"architectures": ["DebertaV2ForSequenceClassification"], "num_labels": 1},
    "deberta_v2-relu": tiny("deberta_v2", architectures=["DebertaV2ForSequenceClassification"], num_labels=3, pooler_hidden_act="relu"),
    "nomic_bert": tiny("nomic_bert", architectures=["NomicBertForSequenceClassification"], num_labels=1),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_same_scores(name: str, tmp_path: Path) -> None:
    theirs = make(CLASSIFIERS[name])
    theirs.save_pretrained(tmp_path)
    want = torch.cat([run(theirs, t).logits for t in words()])
    assert want.std(0).min() > 0.05
    _, y_SE = rows_of(ours(tmp_path), words())
    torch.testing.assert_close(y_SE, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["bert", "modernbert", "albert", "longformer", "bigbird", "deberta_v2", "reformer"])
def test_company_changes_nothing(name: str, tmp_path: Path) -> None:
    make(BODIES[name]).save_pretrained(tmp_path)
    model = ours(tmp_path)
    together, vectors = rows_of(model, words())
    alone = [rows_of(model, [t]) for t in words()]
    torch.testing.assert_close(together, torch.cat([x for x, _ in alone]), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(vectors, torch.cat([y for _, y in alone]), rtol=1e-5, atol=1e-5)


PRETRAINED: list[dict[str, Any]] = [
    tiny("bert", architectures=["BertForMaskedLM"]),
    tiny("bert", architectures=["BertForPreTraining"]),
    roberta() | {"architectures": ["RobertaForMaskedLM"]},
    tiny("roberta", architectures=["XLMRobertaForMaskedLM"]),
    tiny("modernbert", architectures=["ModernBertForMaskedLM"]),
    tiny("distilbert", architectures=["DistilBertForMaskedLM"]),
    tiny("albert", architectures=["AlbertForMaskedLM"]),
    tiny("albert", architectures=["AlbertForPreTraining"]),
    tiny("deberta_v2", architectures=["DebertaV2ForMaskedLM"]),
    tiny("nomic_bert", architectures=["NomicBertForMaskedLM"]),
    tiny("longformer", architectures=["LongformerForMaskedLM"]),
    tiny("reformer", architectures=["ReformerForMaskedLM"]),
    tiny("bigbird", architectures=["BigBirdForMaskedLM"]),
    tiny("bigbird", architectures=["BigBirdForPreTraining"]),
]


@pytest.mark.parametrize("values", PRETRAINED, ids=[values["architectures"][0] for values in PRETRAINED])
def test_a_head_of_training_is_left_out(values: dict[str, Any], tmp_path: Path) -> None:
    """The body's tensors have a prefix there."""
    theirs = make(values)
    theirs.save_pretrained(tmp_path)
    assert not set(open_encoder(tmp_path).tensors) & set(load_file(tmp_path / "model.safetensors"))
    x_TD, _ = rows_of(ours(tmp_path), words())
    torch.testing.assert_close(x_TD, torch.cat([body(theirs, t) for t in words()]), rtol=1e-4, atol=1e-4)


def rewrite(directory: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    path = directory / "model.safetensors"
    save_file(change(load_file(path)), path)


def test_names_of_the_oldest_checkpoints(tmp_path: Path) -> None:
    make(tiny("bert")).save_pretrained(tmp_path)
    want, _ = rows_of(ours(tmp_path), words())

    def older(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        renamed = {f"bert.{name}".replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"): t for name, t in tensors.items()}
        return renamed | {"bert.embeddings.position_ids": torch.arange(128)[None]}

    rewrite(tmp_path, older)
    assert torch.equal(rows_of(ours(tmp_path), words())[0], want)


def test_unknown_tensor(tmp_path: Path) -> None:
    make(tiny("bert")).save_pretrained(tmp_path)
    rewrite(tmp_path, lambda tensors: tensors | {"encoder.layer.0.adapter.weight": torch.ones(3)})
    with pytest.raises(WeightsError, match=r"does not use: encoder\.layer\.0\.adapter\.weight"):
        ours(tmp_path)


def test_every_encoder_has_a_case() -> None:
    tried = {values["architectures"][0] for values in (*BODIES.values(), *CLASSIFIERS.values(), *PRETRAINED)}
    assert tried == set(ENCODERS) - {"StoaModel"}
