"""Conformance of our MCP servers and clients, as others judge it: the suite @modelcontextprotocol/conformance with the frozen sets
of both revisions, and the inspector's command line. scripts/conformance runs this.

python -m tests.conformance.suite [--server-only | --client-only]"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.conformance import bundles, inspector, npm
from tests.conformance.fixture import NAME

REVISIONS = ("2025-11-25", "2026-07-28")
COMMAND = [
    "--command",
    f"{sys.executable} -m tests.conformance.client",
    "--timeout",
    "600000",
]  # milliseconds; dozens of clients share the machine
LINE = re.compile(r"^([✓✗]) ([\w./-]+): (\d+) passed, (\d+) failed", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """Of one leg at one revision. `missing`: scored scenarios that did not pass, or did not run."""

    title: str
    scored: int
    checks: int
    missing: tuple[str, ...]
    others: str = ""  # those that are not scored
    alone: tuple[str, ...] = ()  # those that passed when nothing else ran

    @property
    def line(self) -> str:
        failed = f"; FAILED: {', '.join(self.missing)}" if self.missing else ""
        failed = f"; only alone: {', '.join(self.alone)}{failed}" if self.alone else failed
        return f"{self.title:<22} {self.scored - len(self.missing)} of {self.scored} passed, {self.checks} checks{self.others}{failed}"


def judge(leg: str, revision: str, output: str, required: str) -> Outcome:
    """Fails closed: a scored scenario counts as passed only where the suite's summary says so."""
    results = {name: (sign == "✓" and failed == "0", int(passed)) for sign, name, passed, failed in LINE.findall(output)}
    scored = scored_scenarios(required, leg)
    missing = tuple(name for name in scored if not results.get(name, (False, 0))[0])
    checks = sum(results[name][1] for name in scored if name in results)
    rest = [passed for name, (passed, _) in results.items() if name not in scored]
    return Outcome(f"{leg} {revision}", len(scored), checks, missing, f" (not scored: {sum(rest)} of {len(rest)})")


def scored_scenarios(required: str, leg: str) -> tuple[str, ...]:
    """Of a revision's requirements, a YAML file with one list for each leg."""
    section = re.search(rf"^{leg}:\n((?:  - .+\n)+)", required, re.MULTILINE)
    if section is None:
        raise ValueError(f"the requirements name no scenarios of {leg}")
    return tuple(line.removeprefix("  - ").strip() for line in section[1].splitlines())


def run_suite(modules: Path, leg: str, revision: str, arguments: list[str]) -> Outcome:
    package = "@modelcontextprotocol/conformance"
    with tempfile.TemporaryDirectory() as results:
        done = npm.node(npm.script(modules, package), leg, "--requirements", revision, "--output-dir", results, *arguments)
    required = (modules / package / "requirements" / f"{revision}.yaml").read_text(encoding="utf-8")
    outcome = judge(leg, revision, done.stdout, required)
    if outcome.missing:
        print(done.stdout)
    return outcome


@contextmanager
def fixture() -> Generator[str]:
    """The URL of the fixture server, which runs meanwhile."""
    process = subprocess.Popen([sys.executable, "-m", "tests.conformance.fixture"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/mcp/{NAME}"
    finally:
        process.terminate()
        process.wait(timeout=30)
        if process.stdout is not None:
            process.stdout.close()


def server_leg(modules: Path) -> list[Outcome]:
    with fixture() as url:
        return [run_suite(modules, "server", revision, ["--url", url]) for revision in REVISIONS]


def client_leg(modules: Path) -> list[Outcome]:
    """The suite starts a client for each scenario, dozens at once. Some measure time: what failed then is run again, alone."""
    return [_again(modules, revision, run_suite(modules, "client", revision, COMMAND)) for revision in REVISIONS]


def _again(modules: Path, revision: str, outcome: Outcome) -> Outcome:
    passed = tuple(name for name in outcome.missing if _passes(modules, revision, name))
    return replace(outcome, missing=tuple(name for name in outcome.missing if name not in passed), alone=passed)


def _passes(modules: Path, revision: str, scenario: str) -> bool:
    package = "@modelcontextprotocol/conformance"
    done = npm.node(npm.script(modules, package), "client", "--scenario", scenario, "--spec-version", revision, *COMMAND)
    print(done.stdout)
    return done.returncode == 0 and "OVERALL: PASSED" in done.stdout  # one that was skipped ends with 0, too


def inspector_leg(modules: Path) -> list[Outcome]:
    calls = inspector.run(modules)
    missing = tuple(call.title for call in calls if call.failure is not None)
    return [Outcome("inspector", len(calls), len(calls), missing)]


def bundle_leg(modules: Path) -> list[Outcome]:
    with tempfile.TemporaryDirectory() as folder:
        faults = bundles.judged(modules, Path(folder))
    missing = tuple(f"{name} ({fault.strip()})" for name, fault in faults.items() if fault)
    return [Outcome("bundles", len(faults), len(faults), missing)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/conformance")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--server-only", action="store_true", help="not the client leg")
    only.add_argument("--client-only", action="store_true", help="nothing but the client leg")
    given = parser.parse_args()
    modules = npm.installed()
    legs: list[Callable[[Path], list[Outcome]]] = [] if given.client_only else [server_leg, inspector_leg, bundle_leg]
    outcomes = [outcome for leg in (*legs, *([] if given.server_only else [client_leg])) for outcome in leg(modules)]
    passed = not any(outcome.missing for outcome in outcomes)
    print(f"\nMCP conformance ({npm.PACKAGES['@modelcontextprotocol/conformance']}, scenarios that count):")
    print("\n".join(f"  {outcome.line}" for outcome in outcomes))
    print("all passed" if passed else "NOT all passed")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
