"""Reading files over MCP."""

import base64
import json
import os
import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from jsonschema import Draft202012Validator
from mcp.shared.exceptions import MCPError
from mcp.types import ImageContent, ResourceTemplateReference, TextResourceContents

from mcp_servers.files import Limits, Policy, Root, root, server
from mcp_servers.fs import search
from tests.mcp_servers.files_client import PNG, files

pytestmark = pytest.mark.anyio
READS = {"read_text", "read_media", "list_directory", "tree", "search_names", "search_content", "file_info"}
WRITES = {"write_file", "edit_file", "create_directory", "move"}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "src" / "deep").mkdir(parents=True)
    (folder / "docs").mkdir()
    (folder / "README.md").write_text("# Walrus\n\nIt sleeps.\n")
    (folder / "src" / "main.py").write_bytes(b"def main():\r\n    walrus = 1\r\n    return walrus\r\n")
    (folder / "src" / "deep" / "other.py").write_text("WALRUS = 2\n")
    (folder / "docs" / "picture.png").write_bytes(PNG)
    (folder / ".env").write_text("WALRUS_KEY=secret\n")
    return folder


def closed(schema: Any) -> bool:
    """Whether each object of a schema says what it may hold."""
    if isinstance(schema, list):
        return all(map(closed, schema))
    if not isinstance(schema, dict):
        return True
    return (schema.get("type") != "object" or schema.get("additionalProperties") is False) and all(map(closed, schema.values()))


@pytest.mark.parametrize("era", ["2026-07-28", "legacy"])
async def test_tools_say_all_about_themselves(here: Path, era: str) -> None:
    async with files(here, write=True, era=era) as there:
        tools = (await there.client.list_tools()).tools
    assert {tool.name for tool in tools} == READS | WRITES
    for tool in tools:
        assert tool.title and tool.description and tool.annotations and tool.output_schema
        assert closed(tool.input_schema), tool.name
        assert tool.annotations.read_only_hint is (tool.name in READS)
        assert tool.annotations.open_world_hint is False
        Draft202012Validator.check_schema(tool.output_schema)


async def test_reading_offers_no_tool_that_writes(here: Path) -> None:
    async with files(here) as there:
        assert {tool.name for tool in (await there.client.list_tools()).tools} == READS
        with pytest.raises(MCPError, match="Unknown tool: write_file"):
            await there.client.call_tool("write_file", {"path": "x", "content": ""})


async def test_an_argument_that_is_none(here: Path) -> None:
    async with files(here) as there:
        said = await there.refusal("read_text", path="README.md", lines=3)
        assert "lines: Extra inputs are not permitted" in said and "README" not in said and "http" not in said
        assert "limit" in await there.refusal("list_directory", limit=100_000)


async def test_lines_of_a_text(here: Path) -> None:
    (here / "long.txt").write_text("".join(f"line {n}\n" for n in range(1, 1001)))
    async with files(here) as there:
        first = await there.call("read_text", path="long.txt", max_lines=2)
        assert (first["text"], first["truncated"], first["next_line"]) == ("line 1\nline 2", True, 3)
        last = await there.call("read_text", path="long.txt", start_line=999)
        assert (last["text"], last["truncated"], last["first_line"], last["last_line"]) == ("line 999\nline 1000", False, 999, 1000)
        tail = await there.call("read_text", path="long.txt", start_line=-2)
        assert (tail["text"], tail["first_line"]) == ("line 999\nline 1000", 999)
        beyond = await there.call("read_text", path="long.txt", start_line=2000)
        assert (beyond["text"], beyond["first_line"], beyond["note"]) == ("", 0, "no line 2000")


async def test_all_pages_are_the_text(here: Path) -> None:
    lines = [f"{'walrus ' * (n % 7)}ä{n}" for n in range(300)]
    (here / "long.txt").write_text("\n".join(lines))
    read, at = list[str](), 1
    async with files(here) as there:
        while at:
            page = await there.call("read_text", path="long.txt", start_line=at, max_bytes=500)
            assert len(page["text"].encode()) <= 500
            read += page["text"].split("\n")
            at = page.get("next_line")
    assert read == lines


async def test_a_line_longer_than_an_answer(here: Path) -> None:
    (here / "long.txt").write_text("ä" * 1000 + "\nnext\n")
    async with files(here) as there:
        page = await there.call("read_text", path="long.txt", max_bytes=101)
        assert (page["text"], page["truncated"], page["next_line"]) == ("ä" * 50, True, 2)
        assert "line 1 was cut" in page["note"]
        assert (await there.call("read_text", path="long.txt", start_line=2))["text"] == "next"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
async def test_encodings(here: Path, encoding: str) -> None:
    text = "Das Walross schläft über dem Eis; es wiegt mehr als tausend Kilogramm. Größere Robben gibt es kaum."
    (here / "text.txt").write_bytes(text.encode(encoding))
    async with files(here) as there:
        assert (await there.call("read_text", path="text.txt"))["text"] == text
        assert (await there.call("search_content", query="schläft"))["matches"][0]["path"] == "text.txt"


async def test_an_encoding_that_is_said(here: Path) -> None:
    (here / "text.txt").write_bytes("шла".encode("koi8-r"))
    async with files(here) as there:
        assert (await there.call("read_text", path="text.txt", encoding="koi8-r"))["text"] == "шла"
        assert "no text in idna" in await there.refusal("read_text", path="text.txt", encoding="idna")
        assert "no text encoding" in await there.refusal("read_text", path="text.txt", encoding="base64")


async def test_line_endings(here: Path) -> None:
    async with files(here) as there:
        page = await there.call("read_text", path="src/main.py")
        assert page["text"].split("\n")[1] == "    walrus = 1" and page["line_endings"] == "crlf"


async def test_images(here: Path) -> None:
    async with files(here) as there:
        result = await there.client.call_tool("read_media", {"path": "docs/picture.png"})
        image = result.content[0]
        assert isinstance(image, ImageContent) and base64.b64decode(image.data) == PNG and image.mime_type == "image/png"
        assert result.structured_content == {"path": "docs/picture.png", "mime_type": "image/png", "size": len(PNG)}
        assert "neither an image nor a sound" in await there.refusal("read_media", path="README.md")
        assert "not a text" in await there.refusal("read_text", path="docs/picture.png")


async def test_a_directory_page_by_page(here: Path) -> None:
    async with files(here) as there:
        whole = [entry["name"] for entry in (await there.call("list_directory"))["entries"]]
        assert whole == ["README.md", "docs", "src"]
        pages, cursor = list[str](), None
        while True:
            page = await there.call("list_directory", limit=1, **({"cursor": cursor} if cursor else {}))
            pages += [entry["name"] for entry in page["entries"]]
            if not (cursor := page.get("next_cursor")):
                break
        assert pages == whole


@pytest.mark.parametrize("cursor", ["", "x", "WzFd", base64.urlsafe_b64encode(b"[" * 5000).decode(), "é"])
async def test_cursors_that_are_none(here: Path, cursor: str) -> None:
    async with files(here) as there:
        for tool, more in (("list_directory", {}), ("search_names", {"pattern": "*"}), ("search_content", {"query": "a"})):
            assert "leave it out to begin again" in await there.refusal(tool, cursor=cursor, **more)
        with pytest.raises(MCPError, match="leave it out"):
            await there.client.list_resources(cursor=cursor)


async def test_a_cursor_of_another_question(here: Path) -> None:
    async with files(here) as there:
        cursor = (await there.call("search_names", pattern="*", limit=1))["next_cursor"]
        assert "another question" in await there.refusal("search_names", pattern="*.py", cursor=cursor)


async def test_a_tree(here: Path) -> None:
    async with files(here) as there:
        drawn = await there.call("tree")
        assert drawn["tree"].split("\n") == ["README.md", "docs/", "  picture.png", "src/", "  deep/", "    other.py", "  main.py"]
        shallow = await there.call("tree", depth=1)
        assert shallow["tree"] == "README.md\ndocs/\nsrc/" and not shallow["truncated"]
        few = await there.call("tree", limit=2)
        assert few["tree"] == "README.md\ndocs/" and few["truncated"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.py", ["src/deep/other.py", "src/main.py"]),
        ("*.PY", ["src/deep/other.py", "src/main.py"]),
        ("src/*.py", ["src/main.py"]),
        ("**/deep/*.py", ["src/deep/other.py"]),
        ("src/**/*.py", ["src/deep/other.py", "src/main.py"]),
        ("*.{md,png}", ["README.md", "docs/picture.png"]),
        ("[!a-ln-z]ain.??", ["src/main.py"]),
        ("de*", ["src/deep/"]),
        ("(walrus)+", []),
        ("*env*", []),
    ],
)
async def test_names(here: Path, pattern: str, found: list[str]) -> None:
    async with files(here) as there:
        assert (await there.call("search_names", pattern=pattern))["paths"] == found


async def test_names_of_a_kind_page_by_page(here: Path) -> None:
    async with files(here) as there:
        first = await there.call("search_names", pattern="*", kind="directory", limit=2)
        assert first["paths"] == ["docs/", "src/"]
        rest = await there.call("search_names", pattern="*", kind="directory", limit=2, cursor=first["next_cursor"])
        assert rest["paths"] == ["src/deep/"] and "next_cursor" not in rest


async def test_lines_that_match(here: Path) -> None:
    async with files(here) as there:
        exact = await there.call("search_content", query="walrus")
        assert [(match["path"], match["line"], match["text"]) for match in exact["matches"]] == [
            ("src/main.py", 2, "    walrus = 1"),
            ("src/main.py", 3, "    return walrus"),
        ]
        assert (exact["files_searched"], exact["files_skipped"]) == (3, 1)
        every = await there.call("search_content", query="walrus", ignore_case=True)
        assert [match["path"] for match in every["matches"]] == ["README.md", "src/deep/other.py", "src/main.py", "src/main.py"]
        some = await there.call("search_content", query="walrus", ignore_case=True, files="*.md")
        assert [match["path"] for match in some["matches"]] == ["README.md"]
        one = await there.call("search_content", query=r"^\s+return \w+$", regex=True, path="src/main.py", context=2)
        assert one["matches"] == [
            {"path": "src/main.py", "line": 3, "text": "    return walrus", "before": ["def main():", "    walrus = 1"]}
        ]


async def test_all_pages_of_a_search_are_the_search(here: Path) -> None:
    for number in range(5):
        (here / "docs" / f"{number}.txt").write_text("walrus\n\nwalrus\nseal\nwalrus")
    async with files(here) as there:
        whole = (await there.call("search_content", query="walrus"))["matches"]
        for limit in (1, 2, 3, 7):
            pages, cursor = list[Any](), None
            while True:
                page = await there.call("search_content", query="walrus", limit=limit, **({"cursor": cursor} if cursor else {}))
                pages += page["matches"]
                if not (cursor := page.get("next_cursor")):
                    break
            assert pages == whole, limit
    assert len(whole) == 17


@pytest.mark.parametrize("size", [3, 131_071, 131_072, 131_073, 300_000])
async def test_lines_at_the_edges_of_blocks(here: Path, size: int) -> None:
    (here / "big.txt").write_text("x" * size + "\nwalrus\n" + "y\n" * 70_000 + "walrus")
    async with files(here) as there:
        found = await there.call("search_content", query="^walrus$", regex=True, files="big.txt")
        assert [match["line"] for match in found["matches"]] == [2, 70_003]


@pytest.mark.parametrize("pattern", ["(", "a{2000}", r"(a)\1", "(?=a)", "((a{1,100}){1,100}){1,100}", "x" * 1001])
async def test_patterns_that_are_refused(here: Path, pattern: str) -> None:
    async with files(here) as there:
        assert await there.refusal("search_content", query=pattern, regex=True)


async def test_what_is_known_of_a_file(here: Path) -> None:
    (here / "src" / "main.py").chmod(0o640)
    async with files(Root(here, write=False), write=True) as there:
        known = await there.call("file_info", path="src/main.py")
        assert {key: known[key] for key in ("kind", "mode", "encoding", "line_endings", "writable")} == {
            "kind": "file",
            "mode": "-rw-r-----",
            "encoding": "utf-8",
            "line_endings": "crlf",
            "writable": False,
        }
        assert known["size"] == os.stat(here / "src" / "main.py").st_size and known["mime_type"] == "text/x-python"
        assert (await there.call("file_info", path="docs"))["kind"] == "directory"


async def test_links_inside_are_followed(here: Path) -> None:
    (here / "docs" / "alias.py").symlink_to("../src/main.py")
    (here / "code").symlink_to("src/deep/..")
    async with files(here) as there:
        assert "walrus = 1" in (await there.call("read_text", path="docs/alias.py"))["text"]
        assert "walrus = 1" in (await there.call("read_text", path="code/main.py"))["text"]
        listed = await there.call("list_directory", path="docs")
        assert [entry["kind"] for entry in listed["entries"]] == ["link", "file"]
        assert (await there.call("search_content", query="walrus = 1"))["matches"][0]["path"] == "src/main.py"


async def test_several_roots(here: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "project"
    other.mkdir(parents=True)
    (other / "a.txt").write_text("walrus\n")
    async with files(here, other) as there:
        assert [entry["name"] for entry in (await there.call("list_directory"))["entries"]] == ["project", "project-2"]
        assert (await there.call("read_text", path="project-2/a.txt"))["text"] == "walrus"
        assert (await there.call("read_text", path=str(other / "a.txt")))["path"] == "project-2/a.txt"
        assert "begin with one of project, project-2" in await there.refusal("read_text", path="a.txt")
        assert (await there.call("tree", depth=1))["tree"].split("\n")[-2:] == ["project-2/", "  a.txt"]
        first = await there.call("search_content", query="walrus", limit=2)
        rest = await there.call("search_content", query="walrus", limit=2, cursor=first["next_cursor"])
        assert [match["path"] for match in rest["matches"]] == ["project-2/a.txt"]


async def test_names_that_are_no_unicode(here: Path) -> None:
    try:
        (here / os.fsdecode(b"caf\xe9.txt")).write_text("walrus")
    except OSError:
        pytest.skip("this file system has no such names")
    async with files(here) as there:
        assert "caf\\udce9.txt" in [entry["name"] for entry in (await there.call("list_directory"))["entries"]]
        assert len((await there.client.list_resources()).resources) == 1
        assert (await there.call("search_content", query="walrus"))["matches"]


async def test_resources(here: Path) -> None:
    async with files(here) as there:
        listed = await there.client.list_resources()
        assert [(one.name, one.uri, one.mime_type) for one in listed.resources] == [
            ("README.md", (here / "README.md").as_uri(), "text/markdown")
        ]
        [content] = (await there.client.read_resource((here / "src" / "main.py").as_uri())).contents
        assert isinstance(content, TextResourceContents) and content.mime_type == "text/x-python"
        assert content.text.encode() == (here / "src" / "main.py").read_bytes()
        [picture] = (await there.client.read_resource((here / "docs" / "picture.png").as_uri())).contents
        assert base64.b64decode(getattr(picture, "blob", "")) == PNG and picture.mime_type == "image/png"
        with pytest.raises(MCPError, match="no such file") as raised:
            await there.client.read_resource((here / "none").as_uri())
        assert raised.value.error.code == -32602


async def test_what_cannot_be_read_is_not_listed(here: Path) -> None:
    with (here / "big.bin").open("wb") as big:
        big.truncate(Limits().media_bytes + 1)
    (here / "one.txt").write_text("two names")
    os.link(here / "one.txt", here / "two.txt")
    async with files(here) as there:
        listed = (await there.client.list_resources()).resources
        assert [one.name for one in listed] == ["README.md"]
        for one in listed:
            await there.client.read_resource(one.uri)


async def test_resources_page_by_page(here: Path) -> None:
    for number in range(150):
        (here / f"{number:03}.txt").write_text("")
    async with files(here, here / "src") as there:
        first = await there.client.list_resources()
        assert len(first.resources) == 100 and first.next_cursor
        rest = await there.client.list_resources(cursor=first.next_cursor)
        names = [one.name for one in (*first.resources, *rest.resources)]
        assert rest.next_cursor is None and names == sorted(set(names)) and len(names) == 152


async def test_completion(here: Path) -> None:
    [template] = [TEMPLATE]
    async with files(here) as there:
        [offered] = (await there.client.list_resource_templates()).resource_templates
        assert offered.uri_template == template.uri
        top = str(here)[1:]
        whole = await there.client.complete(template, {"name": "path", "value": f"{top}/"})
        assert whole.completion.values == [f"{top}/README.md", f"{top}/docs/", f"{top}/src/"]
        begun = await there.client.complete(template, {"name": "path", "value": f"{top}/src/m"})
        assert begun.completion.values == [f"{top}/src/main.py"]
        nothing = await there.client.complete(template, {"name": "path", "value": top[:4]})
        assert nothing.completion.values == [f"{top}/"]


async def test_progress_and_the_end_of_time(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(400):
        (here / "docs" / f"{number}.txt").write_text("seal\n")
    seen, read = list[float](), search._read
    monkeypatch.setattr(search, "_read", lambda tree, entry: time.sleep(0.1) or read(tree, entry))  # 40 s in all
    monkeypatch.setattr("mcp_servers.common.TICK", 0.05)

    async def told(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    async with files(here, policy=Policy(limits=Limits(seconds=0.6))) as there:
        started = time.monotonic()
        result = await there.client.call_tool("search_content", {"query": "walrus"}, progress_callback=told)
        assert time.monotonic() - started < 30
        assert result.structured_content and result.structured_content["truncated"]
        assert "stopped after 0.6 s" in result.structured_content["note"] and result.structured_content["next_cursor"]
        assert seen == sorted(set(seen)) and seen


async def test_cancelling_stops_the_work(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread of the call ends long before its time is over."""
    begun, ended = anyio.Event(), anyio.Event()
    loop_token = anyio.lowlevel.current_token()

    def endless(scope: Any, query: Any) -> Any:
        anyio.from_thread.run_sync(begun.set, token=loop_token)
        try:
            while True:
                scope.clock.check()
                time.sleep(0.005)
        finally:
            anyio.from_thread.run_sync(ended.set, token=loop_token)

    monkeypatch.setattr("mcp_servers.fs.search.lines", endless)
    async with files(here, policy=Policy(limits=Limits(seconds=300))) as there:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(there.client.call_tool, "search_content", {"query": "walrus"})
            with anyio.fail_after(60):
                await begun.wait()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(60):
            await ended.wait()


def test_roots_of_the_command_line() -> None:
    assert root("docs:ro") == Root(Path("docs"), write=False)
    assert root("docs:rw") == root("docs") == Root(Path("docs"))
    assert root("a:b") == Root(Path("a:b"))


def test_roots_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such directory"):
        server([Root(tmp_path / "none")])
    with pytest.raises(ValueError, match="--deny"):
        server([Root(tmp_path)], Policy(denied=("",)))
    with pytest.raises(ValueError, match="a root is needed"):
        server([])


async def test_denied_names_of_the_operator(here: Path) -> None:
    async with files(here, policy=Policy(denied=("src/**", "*.md"))) as there:
        assert (await there.call("search_names", pattern="*"))["paths"] == [".env", "docs/", "docs/picture.png", "src/"]
        assert "denies" in await there.refusal("read_text", path="SRC/Main.py")
        assert "denies" in await there.refusal("read_text", path="readme.MD")


async def test_the_tools_stay_small(here: Path) -> None:
    """What a model reads of them, in each request."""
    async with files(here) as there:
        tools = (await there.client.list_tools()).tools
    shown = [{"name": tool.name, "description": tool.description, "parameters": tool.input_schema} for tool in tools]
    assert len(json.dumps(shown)) < 5200


TEMPLATE = ResourceTemplateReference(type="ref/resource", uri="file:///{+path}")
