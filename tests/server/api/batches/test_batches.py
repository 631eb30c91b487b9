"""/v1/batches: what a file of requests becomes, and what is refused."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from server.archive.batches.records import NewBatch
from tests.server.api.batches.batch_world import CHAT, BatchServer, echo, line, server
from tests.server.fakes import FakeEngine, ask, ready, text

Work = Callable[[BatchServer], Awaitable[None]]


def using(work: Work, **settings: Any) -> None:
    async def run() -> None:
        async with server(**settings) as made:
            await work(made)

    asyncio.run(run())


def test_every_line_is_answered_in_order() -> None:
    async def work(api: BatchServer) -> None:
        words = ["one", "two", "six", "ten", "red", "sun"]
        batch = await api.create([line(f"id-{word}", word) for word in words], metadata={"night": "1"})
        assert batch["status"] == "validating" and batch["request_counts"] == {"total": 0, "completed": 0, "failed": 0}
        done = await api.ended(batch["id"])
        assert done["status"] == "completed" and done["metadata"] == {"night": "1"} and done["model"] == "tiny"
        assert done["request_counts"] == {"total": 6, "completed": 6, "failed": 0} and "error_file_id" not in done
        assert batch["created_at"] <= done["in_progress_at"] <= done["finalizing_at"] <= done["completed_at"]
        assert done["expires_at"] == batch["created_at"] + 86_400
        output = await api.lines(done["output_file_id"])
        assert [one["custom_id"] for one in output] == [f"id-{word}" for word in words]
        assert [one["response"]["body"]["choices"][0]["message"]["content"] for one in output] == words
        assert {(one["response"]["status_code"], one["error"]) for one in output} == {(200, None)}
        assert len({one["id"] for one in output} | {one["response"]["request_id"] for one in output}) == 12
        used = [one["response"]["body"]["usage"] for one in output]
        assert done["usage"]["input_tokens"] == sum(one["prompt_tokens"] for one in used) > 0
        assert done["usage"]["output_tokens"] == sum(one["completion_tokens"] for one in used)
        assert done["usage"]["input_tokens_details"]["cached_tokens"] == 6
        assert done["usage"]["total_tokens"] == sum(one["total_tokens"] for one in used)
        file = await api.ask("GET", f"/v1/files/{done['output_file_id']}")
        assert file["purpose"] == "batch_output" and file["filename"] == f"{batch['id']}_output.jsonl"
        assert file["expires_at"] == file["created_at"] + 30 * 86_400
        assert [one["id"] for one in (await api.ask("GET", "/v1/files?purpose=batch_output"))["data"]] == [file["id"]]

    using(work)


def test_a_line_has_the_error_that_its_request_would_have_had() -> None:
    wrong = [{"temperature": 9}, {"model": "gpt-9"}, {"unknown": 1}, {"messages": []}, {"max_tokens": 100_000}]

    async def work(api: BatchServer) -> None:
        lines = [line("good"), *(line(f"bad-{i}", **body) for i, body in enumerate(wrong))]
        done = await api.ended((await api.create(lines))["id"])
        assert done["status"] == "completed" and done["request_counts"]["total"] == 6
        errors = {one["custom_id"]: one["response"] for one in await api.lines(done["error_file_id"])}
        alone = [await api.http.post(CHAT, json=one["body"]) for one in lines[1:]]
        failed = [(f"bad-{i}", answer) for i, answer in enumerate(alone) if answer.status_code != 200]
        assert len(failed) >= 4 and [*errors] == [id for id, _ in failed]
        for id, answer in failed:
            assert (errors[id]["status_code"], errors[id]["body"]) == (answer.status_code, answer.json())
        assert done["request_counts"]["failed"] == len(failed)
        assert (await api.lines(done["output_file_id"]))[0]["custom_id"] == "good"

    using(work)


@pytest.mark.parametrize(
    ("url", "body", "found"),
    [
        ("/v1/completions", {"prompt": "Say red now", "max_tokens": 3}, lambda body: body["object"] == "text_completion"),
        ("/v1/responses", {"input": "Say red"}, lambda body: body["status"] == "completed"),
        ("/v1/embeddings", {"model": "words", "input": ["a word"] * 40}, lambda body: len(body["data"]) == 40),
    ],
)
def test_other_endpoints(url: str, body: dict[str, Any], found: Callable[[Any], bool]) -> None:
    async def work(api: BatchServer) -> None:
        batch = await api.create([line("a", url=url, **body)], endpoint=url)
        done = await api.ended(batch["id"])
        assert done["request_counts"] == {"total": 1, "completed": 1, "failed": 0}
        (only,) = await api.lines(done["output_file_id"])
        assert found(only["response"]["body"]) and done["usage"]["input_tokens"] > 0
        if url == "/v1/responses":  # it belongs to whom the batch belongs to
            assert (await api.ask("GET", f"/v1/responses/{only['response']['body']['id']}"))["status"] == "completed"
        if url == "/v1/embeddings":
            alone = await api.ask("POST", url, json={"model": "words", "input": ["a word"] * 40})
            assert alone["data"] == only["response"]["body"]["data"]

    using(work)


def test_wrong_lines_are_all_named_and_nothing_is_answered() -> None:
    lines = [
        line("a"),
        line("a"),
        line("b", method="GET"),
        line("c", url="/v1/embeddings"),
        line("d", stream=True),
        line("e", background=True),
        b"{not json}\n",
        b"\n",
        {"custom_id": "f", "method": "POST", "url": CHAT},
        {**line("g"), "custom_id": 7},
        {**line("h"), "priority": 1},
        b"[1]\n",
        line("i", stream=False),
        b'{"custom_id": "' + b"x" * 513 + b'"}\n',
    ]

    async def work(api: BatchServer) -> None:
        done = await api.ended((await api.create(lines))["id"])
        assert done["status"] == "failed" and done["failed_at"] and "output_file_id" not in done
        assert done["errors"]["object"] == "list"
        found = [(error["line"], error["code"], error["param"]) for error in done["errors"]["data"]]
        assert found[:9] == [
            (2, "duplicate_custom_id", "custom_id"),
            (3, "invalid_method", "method"),
            (4, "invalid_url", "url"),
            (5, "unsupported_value", "body.stream"),
            (6, "unsupported_value", "body.background"),
            (7, "invalid_json_line", None),
            (9, "missing_required_parameter", "body"),
            (10, "string_type", "custom_id"),
            (11, "extra_forbidden", "priority"),
        ]
        assert [number for number, *_ in found[9:]] == [12, 14] and api.engine.requests == []
        assert done["request_counts"] == {"total": 0, "completed": 0, "failed": 0}

    using(work)


def test_an_empty_file_and_one_too_long_fail() -> None:
    async def work(api: BatchServer) -> None:
        for lines, code in (([b"\n \n"], "empty_file"), ([line(f"{i}") for i in range(4)], "too_many_lines")):
            done = await api.ended((await api.create(lines))["id"])
            assert (done["status"], done["errors"]["data"][0]["code"]) == ("failed", code)
        long = line("a", "x" * 70_000)
        done = await api.ended((await api.create([line("b"), long]))["id"])
        assert [(error["line"], error["code"]) for error in done["errors"]["data"]] == [(2, "line_too_long")]
        answer = await api.create([line("a", "y" * 2000)] * 100, 400)
        assert (answer["param"], answer["code"]) == ("input_file_id", "file_too_large")

    using(work, batch_max_lines=3, batch_max_bytes=150_000, max_body_bytes=4000)


def test_what_a_batch_is_made_of() -> None:
    async def work(api: BatchServer) -> None:
        good = await api.upload([line("a")])
        other = await api.upload([line("a")], purpose="user_data")
        cases: list[tuple[dict[str, Any], int, str]] = [
            ({"input_file_id": "file-none"}, 404, "input_file_id"),
            ({"input_file_id": other}, 400, "input_file_id"),
            ({"endpoint": "/v1/moderations"}, 400, "endpoint"),
            ({"completion_window": "8d"}, 400, "completion_window"),
            ({"completion_window": "soon"}, 400, "completion_window"),
            ({"completion_window": "0h"}, 400, "completion_window"),
            ({"metadata": {"a": 1}}, 400, "metadata.a"),
            ({"output_expires_after": {"anchor": "created_at", "seconds": 5}}, 400, "output_expires_after.seconds"),
            ({"priority": 1}, 400, "priority"),
        ]
        for given, status, param in cases:
            assert (await api.create([], status, **{"input_file_id": good, **given}))["param"] == param
        expires = {"anchor": "created_at", "seconds": 3600}
        done = await api.ended((await api.create([], input_file_id=good, completion_window="2d", output_expires_after=expires))["id"])
        assert done["expires_at"] == done["created_at"] + 2 * 86_400
        file = await api.ask("GET", f"/v1/files/{done['output_file_id']}")
        assert file["expires_at"] == file["created_at"] + 3600
        assert (await api.ask("GET", "/v1/batches/none", 404))["code"] == "batch_not_found"

    using(work)


def test_batches_are_listed_in_pages() -> None:
    async def work(api: BatchServer) -> None:
        ids = [(await api.create([line("a")]))["id"] for _ in range(3)]
        page = await api.ask("GET", "/v1/batches?limit=2")
        assert [one["id"] for one in page["data"]] == ids[:0:-1] and page["has_more"] and page["last_id"] == ids[1]
        rest = await api.ask("GET", f"/v1/batches?limit=2&after={page['last_id']}")
        assert [one["id"] for one in rest["data"]] == [ids[0]] and not rest["has_more"]

    using(work)


def test_the_input_file_may_be_deleted() -> None:
    """Once its lines have been read; before that the batch fails and says why."""

    async def work(api: BatchServer) -> None:
        held = api.state.count_request()
        with held:  # nothing is answered meanwhile
            batch = await api.create([line(f"{i}") for i in range(3)])
            while (await api.get(batch["id"]))["status"] == "validating":
                await asyncio.sleep(0.01)
            await api.ask("DELETE", f"/v1/files/{batch['input_file_id']}")
        assert (await api.ended(batch["id"]))["request_counts"] == {"total": 3, "completed": 3, "failed": 0}

    using(work)


def test_an_input_file_that_is_gone_too_early_is_an_error() -> None:
    async def work(api: BatchServer) -> None:
        file = await api.upload([line("a")])
        await api.ask("DELETE", f"/v1/files/{file}")
        archive = api.state.expect_ready().archive
        assert archive is not None
        given: Any = {"endpoint": CHAT, "completion_window": "24h", "lifetime": 86_400, "metadata": {}, "output_expires_after": None}
        done = await api.ended(archive.create_batch(NewBatch(owner="", input_file_id=file, **given)).id)
        assert done["status"] == "failed" and done["errors"]["data"][0]["code"] == "file_not_found"

    using(work)


def test_only_its_key_sees_a_batch() -> None:
    async def work(api: BatchServer) -> None:
        api.http.headers["Authorization"] = "Bearer k"
        batch = await api.create([line("a")])
        done = await api.ended(batch["id"])
        assert api.engine.requests[0].owner == api.state.settings.api_keys[0]
        api.http.headers["Authorization"] = "Bearer l"
        assert (await api.ask("GET", "/v1/batches"))["data"] == []
        for method, path in (("GET", ""), ("POST", "/cancel")):
            await api.ask(method, f"/v1/batches/{batch['id']}{path}", 404)
        await api.ask("GET", f"/v1/files/{done['output_file_id']}/content", 404)
        assert (await api.create([], 404, input_file_id=batch["input_file_id"]))["param"] == "input_file_id"

    using(work, api_keys=("k", "l"))


def test_without_a_database_there_are_no_batches() -> None:
    app, _ = ready(FakeEngine(echo), text())
    body = {"input_file_id": "file-1", "endpoint": CHAT, "completion_window": "24h"}
    assert ask(app, "POST", "/v1/batches", json=body).json()["error"]["code"] == "nothing_stored"


def test_the_metrics_count_batches_and_lines() -> None:
    async def work(api: BatchServer) -> None:
        await api.ended((await api.create([line("a"), line("b", temperature=9)]))["id"])
        page = (await api.http.get("/metrics")).text
        assert 'stoa_batch_lines_total{outcome="completed"} 1.0' in page and 'stoa_batch_lines_total{outcome="failed"} 1.0' in page
        assert 'stoa_batches{status="in_progress"} 0.0' in page
        assert "stoa_time_to_first_token_seconds_count 0.0" in page  # nobody waited for these

    using(work)
