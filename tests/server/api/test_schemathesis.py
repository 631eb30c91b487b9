"""Requests made up from our own openapi.json: whatever comes, no 500, and only answers that the document announces."""

from hypothesis import HealthCheck, given, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error, positive_data_acceptance
from schemathesis.config import SchemathesisConfig
from schemathesis.core.result import Ok
from schemathesis.openapi import from_asgi, from_url

from tests.server.conftest import Running
from tests.server.fake_knowledge import knowledge
from tests.server.fake_speech import FakeEars, FakeSpeechEngine, speech
from tests.server.fakes import FakeEngine, ready, says, text

KEY = {"Authorization": "Bearer k"}
SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
FEW = settings(max_examples=3, deadline=None, suppress_health_check=SLOW, derandomize=True)

LIMITS: dict[str, dict[str, int | bool]] = {  # a real model may talk for long
    "/v1/chat/completions": {"max_tokens": 2},
    "/v1/completions": {"max_tokens": 2},
    "/v1/messages": {"max_tokens": 2},
    "/v1/responses": {"max_output_tokens": 16, "background": False},
}

# Their bodies are made of the messages of /v1/chat/completions and of the items of /v1/responses, where each field's every edge is tried;
# and forms, of which a second for each edge of each field would be too much
SHARING = "^/(tokenize|apply-template|v1/responses/(input_tokens|compact)|v1/conversations.*|v1/audio/.*)$"
WITHOUT_EDGES = SchemathesisConfig.from_dict({"phases": {"coverage": {"enabled": False}}})

WORDS = text()
HEARING = {"speech": speech(FakeEars(WORDS), FakeSpeechEngine(immortal=True))}
APP, _ = ready(FakeEngine(says("Hi.", WORDS), immortal=True), WORDS, knowledge(reranker=True), HEARING, api_keys=("k",))
with_edges = from_asgi("/openapi.json", APP, headers=KEY).exclude(path="/v1/messages/count_tokens")  # takes what /v1/messages takes
without_edges = from_asgi("/openapi.json", APP, headers=KEY, config=WITHOUT_EDGES)


@with_edges.exclude(path_regex=SHARING, method="POST").parametrize()
@FEW
def test_the_document_is_kept(case: Case) -> None:
    keep(case)


@without_edges.include(path_regex=SHARING, method="POST").parametrize()
@settings(FEW, max_examples=20)
def test_the_document_is_kept_by_what_shares_bodies(case: Case) -> None:
    keep(case)


def keep(case: Case) -> None:
    """Of a model that exists. Not all that fits the document can be honoured."""
    name(case, "ears" if "/audio/" in case.path else "tiny")
    case.call_and_validate(headers=KEY, excluded_checks=[positive_data_acceptance])


def name(case: Case, model: str) -> None:
    """Instead of a made-up name; an empty one stays: it is refused."""
    if isinstance(case.body, dict) and isinstance(case.body.get("model"), str) and case.body["model"]:
        case.body["model"] = model


def test_a_real_server_has_no_500(server: Running) -> None:
    for found in from_url(f"{server.url}/openapi.json").get_all_operations():
        assert isinstance(found, Ok)

        @FEW
        @given(case=found.ok().as_strategy())
        def probe(case: Case) -> None:
            name(case, "smollm2")
            if isinstance(case.body, dict) and (limit := LIMITS.get(case.path)):
                case.body |= limit
            case.call_and_validate(checks=[not_a_server_error])

        probe()
