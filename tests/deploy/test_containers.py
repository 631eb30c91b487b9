"""`scripts/containers-test`, where there is docker or podman and the images that it starts from."""

import subprocess
import sys

import pytest

from tests.deploy.compose_file import ROOT
from tests.deploy.containers import Missing, find_containers

pytestmark = pytest.mark.slow


def test_the_containers_work() -> None:
    try:
        find_containers("stoa-test", (), {})
    except Missing as missing:
        pytest.skip(str(missing))
    done = subprocess.run(
        [sys.executable, "-m", "tests.deploy.suite"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout
