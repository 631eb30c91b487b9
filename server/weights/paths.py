"""Where this program keeps its files: downloaded and prepared models, and the database."""

import os
import sys
from pathlib import Path


def default_home() -> Path:
    """The cache directory of models: $STOA_HOME, or the platform's directory for caches."""
    if home := os.environ.get("STOA_HOME"):
        return Path(home).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "stoa"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "stoa"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stoa"


def default_database() -> Path:
    """$STOA_HOME/stoa.db, or in the platform's directory for user data, so that emptying the caches deletes no documents."""
    if os.environ.get("STOA_HOME"):
        return default_home() / "stoa.db"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "stoa" / "stoa.db"
    if sys.platform == "win32":
        return default_home().with_name("stoa-data") / "stoa.db"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "stoa" / "stoa.db"
