"""Requests made up from our own openapi.json: whatever comes, no 500, and only answers that the document announces."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.openapi.checks import UndefinedContentType, UndefinedStatusCode  # noqa: F401
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from tests.server.conftest import Running
from tests.server.fakes import FakeEngine, ready, says, text

TEXT = text()
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def app() -> Any:
    fake = FakeEngine(says("Hi.", TEXT), vectors=True)
    return ready(fake, TEXT)[0]
