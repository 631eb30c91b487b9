"""Builds the bundles of our servers and has npm's `mcpb` judge them: python -m tests.conformance.bundles [FOLDER]."""

import sys
import tempfile
import zipfile
from pathlib import Path

from mcp_servers.bundle import BUNDLES, build
from tests.conformance import npm


def judged(modules: Path, folder: Path) -> dict[str, str | None]:
    """Of each bundle that was written into `folder`: what is wrong with it."""
    return {bundle.file: _fault(modules, build(bundle, folder)) for bundle in BUNDLES}


def _fault(modules: Path, bundle: Path) -> str | None:
    command = npm.script(modules, "@anthropic-ai/mcpb")
    with tempfile.TemporaryDirectory() as unpacked:
        zipfile.ZipFile(bundle).extractall(unpacked)
        for arguments in (("validate", f"{unpacked}/manifest.json"), ("info", str(bundle))):
            done = npm.node(command, *arguments, seconds=120)
            if done.returncode != 0:
                return done.stdout
    return None


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "dist")
    folder.mkdir(parents=True, exist_ok=True)
    faults = judged(npm.installed(), folder)
    for name, fault in faults.items():
        print(f"{folder / name}: {fault or 'valid'}")
    return 1 if any(faults.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
