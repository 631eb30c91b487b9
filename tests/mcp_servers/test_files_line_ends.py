"""Edits of files whose lines end in different ways."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_servers.fs.writing.line_ends import lines_of
from tests.mcp_servers.files_client import files

MIXED = b"one\r\ntwo\nthree\r\nfour\rfive"
TEXTS = st.text(st.sampled_from("ab\n\r"), max_size=12)
PLAIN = st.text(st.sampled_from("ab\n"), max_size=4)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("one\ntwo", "1\n2", b"1\r\n2\nthree\r\nfour\rfive"),
        ("one\r\ntwo\r\nthree", "1\r\n2\r\n3", b"1\r\n2\n3\r\nfour\rfive"),
        ("two\nthree\nfour", "two\nfour", b"one\r\ntwo\nfour\rfive"),
        ("two\nthree\n", "two\nmore\nand more\nthree\n", b"one\r\ntwo\nmore\nand more\nthree\r\nfour\rfive"),
        ("one\ntwo\n", "", b"three\r\nfour\rfive"),
        ("one", "0\n1", b"0\r\n1\r\ntwo\nthree\r\nfour\rfive"),
        ("five", "five\n", b"one\r\ntwo\nthree\r\nfour\rfive\r"),
        ("one\r\ntwo", "one\ntwo", b"one\ntwo\nthree\r\nfour\rfive"),  # named as it stands, so it may be changed
        ("four\rfive", "four\r\nfive", b"one\r\ntwo\nthree\r\nfour\r\nfive"),
    ],
)
async def test_an_edit_over_lines_that_end_differently(tmp_path: Path, old: str, new: str, expected: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(MIXED)
    async with files(tmp_path, write=True) as there:
        edited = await there.call("edit_file", path="a.txt", edits=[{"old_text": old, "new_text": new}])
    assert edited["written"] and edited["diff"] and (tmp_path / "a.txt").read_bytes() == expected


@pytest.mark.anyio
async def test_what_read_text_shows_is_found_again(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(MIXED)
    async with files(tmp_path, write=True) as there:
        text = (await there.call("read_text", path="a.txt"))["text"]
        await there.call("edit_file", path="a.txt", edits=[{"old_text": text, "new_text": text.upper()}])
    assert (tmp_path / "a.txt").read_bytes() == MIXED.upper()


@given(TEXTS)
def test_what_is_not_edited_stays(raw: str) -> None:
    lines = lines_of(raw)
    assert "\r" not in lines.text and lines.written() == raw


@given(TEXTS, PLAIN.filter(bool), PLAIN)
def test_an_edit_is_that_of_the_text_with_plain_ends(raw: str, old: str, new: str) -> None:
    lines = lines_of(raw).replaced(old, new)
    assert lines.text == lines_of(raw).text.replace(old, new) and lines.text.count("\n") == len(lines.ends)
    assert set(lines.ends) <= ({*lines_of(raw).ends} or {"\n"}) | ({"\n"} if not lines_of(raw).ends else set[str]())


@given(TEXTS, st.sampled_from(["\n", "\r\n", "\r"]))
def test_lines_that_all_end_alike_go_on_so(raw: str, end: str) -> None:
    alike = lines_of(raw).text.replace("\n", end)
    assert lines_of(alike).replaced("a", "a\nb").written() == lines_of(alike).text.replace("a", "a\nb").replace(
        "\n", end if end in alike else "\n"
    )


@given(TEXTS, PLAIN.filter(bool))
def test_what_is_replaced_by_itself_stays(raw: str, same: str) -> None:
    assert lines_of(raw).replaced(same, same).written() == raw
