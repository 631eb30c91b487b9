"""Makes the secrets of docker-compose.yml at the first start, each in a volume of those who may read it, and keeps them from then on.

What is given is taken: the keys of clients in STOA_API_KEYS (separated by commas) or in the file /run/secrets/stoa_api_keys, the
password of the database's superuser in POSTGRES_PASSWORD or /run/secrets/postgres_password. Everything else is drawn at random."""

import os
import secrets
import sys
from pathlib import Path

HOME, GIVEN = Path("/secrets"), Path("/run/secrets")
USER = 10001  # of the image
OWN, SHARED = 0o400, 0o444  # in a folder that only they mount, files of programs that run as other users are readable by all


def make_secrets(home: Path, given: Path) -> None:
    """`home`: holds the folders that are mounted in the containers. Raises OSError, and ValueError for a password that may not change."""
    keys = _given(given, "stoa_api_keys", "STOA_API_KEYS").replace(",", "\n").split() or _kept(home / "server/api_key").split()
    keys = keys or [f"sk-{secrets.token_urlsafe(32)}"]
    metrics = _kept(home / "watch/metrics_key") or f"sk-{secrets.token_urlsafe(32)}"
    _write(home / "admin/postgres_password", _password(home, given), OWN)
    _write(home / "server/api_key", "\n".join(keys), OWN)
    _write(home / "server/api_keys", "\n".join((*keys, "# Prometheus reads /metrics with this one", metrics)), OWN)
    _write(home / "server/pgpass", _kept(home / "server/pgpass") or _pgpass("stoa", "reader"), OWN)
    _write(home / "engine/key", _kept(home / "engine/key") or secrets.token_urlsafe(32), OWN)
    _write(home / "watch/metrics_key", metrics, SHARED)
    _write(home / "watch/grafana_password", _kept(home / "watch/grafana_password") or secrets.token_urlsafe(16), SHARED)


def _password(home: Path, given: Path) -> str:
    """The database got it at its first start, so that another one would not open it."""
    told, kept = _given(given, "postgres_password", "POSTGRES_PASSWORD"), _kept(home / "admin/postgres_password")
    if told and kept and told != kept:
        raise ValueError("POSTGRES_PASSWORD: the database was made with another password; ALTER ROLE, then write it into the volume, too")
    return kept or told or secrets.token_urlsafe(32)


def _pgpass(*roles: str) -> str:
    """PostgreSQL manual, 34.16: host:port:database:role:password."""
    return "\n".join(f"*:*:*:{role}:{secrets.token_urlsafe(32)}" for role in roles)


def _given(folder: Path, name: str, variable: str) -> str:
    return _kept(folder / name) or os.environ.get(variable, "").strip()


def _kept(file: Path) -> str:
    return file.read_text(encoding="utf-8").strip() if file.is_file() else ""


def _write(file: Path, text: str, mode: int) -> None:
    """Whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(f"{text}\n")
    draft.chmod(mode)
    if os.geteuid() == 0:
        os.chown(draft, USER, USER)
        os.chown(file.parent, USER, USER)
    file.parent.chmod(0o755 if mode == SHARED else 0o700)
    draft.replace(file)


if __name__ == "__main__":
    try:
        make_secrets(HOME, GIVEN)
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    print("the API key for clients: docker compose run --rm secrets cat /secrets/server/api_key")
