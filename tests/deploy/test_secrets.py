"""Secrets of the containers: drawn once, kept, given by the operator, readable by whom they are for."""

import stat
from pathlib import Path

import pytest

from deploy.make_secrets import make_secrets
from server.runtime.setting_values import read_keys


@pytest.fixture(autouse=True)
def nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STOA_API_KEYS", "POSTGRES_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


def files(home: Path) -> dict[str, str]:
    return {str(file.relative_to(home)): file.read_text() for file in home.rglob("*") if file.is_file()}


def test_they_are_drawn_once_and_differ_everywhere(tmp_path: Path) -> None:
    make_secrets(tmp_path / "one", tmp_path)
    make_secrets(tmp_path / "two", tmp_path)
    one, two = files(tmp_path / "one"), files(tmp_path / "two")
    assert one.keys() == two.keys() and not [name for name in one if one[name] == two[name]]
    assert all(len(text.strip()) >= 20 for text in one.values())
    make_secrets(tmp_path / "one", tmp_path)
    assert files(tmp_path / "one") == one


def test_the_server_knows_the_key_of_clients_and_that_of_prometheus(tmp_path: Path) -> None:
    make_secrets(tmp_path, tmp_path / "none")
    known = read_keys("api_key_file", tmp_path / "server/api_keys")
    assert known == [(tmp_path / name).read_text().strip() for name in ("server/api_key", "watch/metrics_key")]


def test_who_else_is_on_the_machine_reads_none(tmp_path: Path) -> None:
    """But for the folder of programs that run as other users; it is mounted by them alone."""
    make_secrets(tmp_path, tmp_path / "none")
    for file in tmp_path.rglob("*"):
        if file.is_file() and file.parent.name != "watch":
            assert stat.S_IMODE(file.stat().st_mode) == 0o400 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_given_keys_are_taken_and_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_secrets(tmp_path, tmp_path / "none")
    monkeypatch.setenv("STOA_API_KEYS", "sk-one,sk-two")
    make_secrets(tmp_path, tmp_path / "none")
    monkeypatch.delenv("STOA_API_KEYS")
    make_secrets(tmp_path, tmp_path / "none")
    assert read_keys("api_key_file", tmp_path / "server/api_keys")[:2] == ["sk-one", "sk-two"]


def test_files_come_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stoa_api_keys").write_text("sk-file\n")
    (tmp_path / "postgres_password").write_text("long and secret\n")
    monkeypatch.setenv("STOA_API_KEYS", "sk-environment")
    make_secrets(tmp_path / "home", tmp_path)
    assert (tmp_path / "home/server/api_key").read_text() == "sk-file\n"
    assert (tmp_path / "home/admin/postgres_password").read_text() == "long and secret\n"


def test_the_databases_password_does_not_change_behind_its_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_secrets(tmp_path, tmp_path / "none")
    before = files(tmp_path)
    monkeypatch.setenv("POSTGRES_PASSWORD", "another")
    with pytest.raises(ValueError, match="POSTGRES_PASSWORD: the database was made with another password"):
        make_secrets(tmp_path, tmp_path / "none")
    assert files(tmp_path) == before


def test_a_key_that_was_deleted_is_drawn_anew_alone(tmp_path: Path) -> None:
    make_secrets(tmp_path, tmp_path / "none")
    before = files(tmp_path)
    (tmp_path / "server/api_key").unlink()
    make_secrets(tmp_path, tmp_path / "none")
    after = files(tmp_path)
    assert {name for name in before if before[name] != after[name]} == {"server/api_key", "server/api_keys"}
