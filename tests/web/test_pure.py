"""What is pure in web/, by Vitest, which tells its own results."""

import subprocess

from tests.conformance.npm import NODE, environment
from tests.server.conftest import ROOT


def test_vitest() -> None:
    subprocess.run([ROOT / "scripts" / "page"], check=True)
    command = [str(NODE), "node_modules/vitest/vitest.mjs", "run", "--reporter=dot"]
    done = subprocess.run(command, cwd=ROOT / "web", env=environment(), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
