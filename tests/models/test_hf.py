"""A configuration is understood whole or refused, with the key's name in the message."""

from math import log

import pytest

from models.hf import Config, ConfigError, rope
from models.spec import Divided, Linear, Llama3, LongRope, Rope, Yarn

LLAMA3 = {"factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}


def test_unread_key() -> None:
    config = Config({"hidden_size": 4, "logit_scale": 0.5, "torch_dtype": "bfloat16"})
    config.integer("hidden_size")
    with pytest.raises(ConfigError, match="nobody read logit_scale;"):
        config.finish()
    config.number("logit_scale")
    config.finish()


def test_unread_key_of_a_part() -> None:
    config = Config({"rope_scaling": {"factor": 2.0, "surprise": 1}})
    part = config.part("rope_scaling")
    assert part is not None and part.number("factor") == 2.0
    with pytest.raises(ConfigError, match=r"rope_scaling: nobody read surprise"):
        config.finish()


def test_part_is_watched_from_every_place_that_reads_it() -> None:
    config = Config({"rope_scaling": {"a": 1, "b": 2}})
    for key in ("a", "b"):
        part = config.part("rope_scaling")
        assert part is not None
        part.integer(key)
    config.finish()


def test_null_asks_for_nothing() -> None:
    config = Config({"rope_scaling": None, "hidden_size": None})
    assert config.part("rope_scaling") is None
    assert config.integer("hidden_size", 7) == 7
    assert config.optional_integer("hidden_size") is None and config.optional_number("absent") is None
    config.finish()


def test_assumed_only_when_absent() -> None:
    config = Config({"sliding_window": None, "head_dim": 8})
    config.assume(sliding_window=4096, head_dim=128, num_key_value_heads=2)
    assert config.optional_integer("sliding_window") is None
    assert (config.integer("head_dim"), config.integer("num_key_value_heads")) == (8, 2)


def test_required() -> None:
    with pytest.raises(ConfigError, match=r"config\.json: vocab_size is missing"):
        Config({}).integer("vocab_size")


@pytest.mark.parametrize("value", [True, "64", 64.0, [64]])
def test_wrong_type(value: object) -> None:
    with pytest.raises(ConfigError, match=r"hidden_size = .* has the wrong type"):
        Config({"hidden_size": value}).integer("hidden_size")


def test_numbers_may_be_whole() -> None:
    assert Config({"rope_theta": 10000}).number("rope_theta") == 10_000.0


def test_items() -> None:
    assert Config({"layer_types": ["a", "b"]}).items("layer_types", str) == ("a", "b")
    assert Config({}).items("layer_types", str) is None
    with pytest.raises(ConfigError, match="every item of layer_types must be str"):
        Config({"layer_types": ["a", 1]}).items("layer_types", str)


def test_size_and_first() -> None:
    config = Config({"id2label": {"0": "no", "1": "yes", "2": "perhaps"}, "architectures": ["A", "B"]})
    assert (config.size("id2label", 2), config.size("absent", 2)) == (3, 2)
    assert (config.first("architectures"), config.first("absent")) == ("A", "")
    config.finish()


def test_ignored_keys_count_as_read() -> None:
    config = Config({"pooler_type": "x", "surprise": 1})
    config.ignore("pooler_type", "absent")
    with pytest.raises(ConfigError, match="nobody read surprise;"):
        config.finish()


def test_only() -> None:
    Config({}).only("hidden_act", "silu")
    with pytest.raises(ConfigError, match="hidden_act = 'relu' is not supported, only 'silu'"):
        Config({"hidden_act": "relu"}).only("hidden_act", "silu")


ROPES = [
    ({}, Rope(dim=64)),
    ({"rope_theta": 5e5}, Rope(dim=64, base=5e5)),
    ({"rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", **LLAMA3}}, "llama3"),
    ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5, **LLAMA3}}, "llama3"),
    ({"rope_scaling": {"type": "linear", "factor": 2.0}}, Rope(dim=64, scaling=Linear(factor=2.0))),
    ({"rope_scaling": {"rope_type": "default"}}, Rope(dim=64)),
    ({"partial_rotary_factor": 0.5}, Rope(dim=32)),
    ({"rope_parameters": {"partial_rotary_factor": 0.25}}, Rope(dim=16)),
    ({"rope_parameters": {"rope_type": "divided", "factors": [1.0, 2.0]}}, Rope(dim=64, scaling=Divided(factors=(1.0, 2.0)))),
    ({"rope_scaling": {"type": "yarn", "factor": 4.0}}, Rope(dim=64, scaling=Yarn(factor=4.0, original=32768))),
]


@pytest.mark.parametrize(("values", "want"), ROPES, ids=[str(i) for i in range(len(ROPES))])
def test_rope(values: dict[str, object], want: Rope | str) -> None:
    scaling = Llama3(factor=32.0, original=8192, low_freq_factor=1.0, high_freq_factor=4.0)
    config = Config({"max_position_embeddings": 32768} | values)
    assert rope(config, 64) == (Rope(dim=64, base=5e5, scaling=scaling) if want == "llama3" else want)
    config.integer("max_position_embeddings")
    config.finish()


def test_unknown_rope() -> None:
    with pytest.raises(ConfigError, match="rope_type = 'proportional' is not supported"):
        rope(Config({"rope_scaling": {"rope_type": "proportional", "factor": 2.0}}), 64)


@pytest.mark.parametrize("kind", ["longrope", "su"])
def test_longrope_has_a_factor_for_each_frequency(kind: str) -> None:
    values = {"max_position_embeddings": 64, "original_max_position_embeddings": 16, "partial_rotary_factor": 0.5}
    scaling = {"rope_type": kind, "short_factor": [1, 1.5], "long_factor": [2.0, 3.0]}
    (got,) = {rope(Config(values | {"rope_scaling": scaling}), 8).scaling}
    amplitude = (1 + log(4) / log(16)) ** 0.5
    assert got == LongRope(original=16, short=(1.0, 1.5), long=(2.0, 3.0), short_amplitude=amplitude, long_amplitude=amplitude)
    with pytest.raises(ConfigError, match="short_factor and long_factor must each have 2 numbers"):
        rope(Config(values | {"rope_scaling": scaling | {"long_factor": [2.0]}}), 8)
