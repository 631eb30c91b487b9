"""Old encodings, as for documents: one decoder for reading, searching, editing and writing; and paths in other notations."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from mcp_servers.files import Root, server

LATIN = {
    "pt.txt": "Não há pães à mesa, só maçãs e limões.\n",
    "da.txt": "Prøven på øen kræver ånd.\n",
    "es.txt": "El niño comió piñas en la montaña.\n",
    "fr.txt": "Où est le reçu ? Voilà l’été.\n",
}


def call(root: Path, tool: str, **arguments: Any) -> Any:
    async def work() -> Any:
        async with Client(server([Root(root, write=True)], mode="write")) as client:
            result = await client.call_tool(tool, arguments)
            assert not result.is_error, result.content
            return result.structured_content

    return asyncio.run(work())


@pytest.mark.parametrize("name", LATIN)
def test_old_encodings_are_read_searched_edited_and_kept(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(LATIN[name].encode("cp1252"))
    assert call(tmp_path, "read_text", path=name)["text"] == LATIN[name].rstrip("\n")
    word = next(word for word in LATIN[name].split() if not word.isascii() and word.isalpha())
    assert len(call(tmp_path, "search_content", query=word)["matches"]) == 1
    call(tmp_path, "edit_file", path=name, edits=[{"old_text": word, "new_text": f"{word}ã"}])
    assert (tmp_path / name).read_bytes() == LATIN[name].replace(word, f"{word}ã").encode("cp1252")
    call(tmp_path, "write_file", path=name, content=f"{LATIN[name]}5 €\n", overwrite=True)
    assert (tmp_path / name).read_bytes() == f"{LATIN[name]}5 €\n".encode("cp1252")


@pytest.mark.parametrize(
    ("encoding", "text", "word"),
    [
        ("cp1251", "Договор номер 5 вступает в силу с первого мая этого года.\n", "Договор"),
        ("cp932", "返品は三十日以内にお願いします。深型フライパンの在庫はありません。\n", "返品"),
        ("utf-16-le", "The spare key is in locker 41 of the old hall.\n", "locker"),
    ],
)
def test_search_reads_what_read_text_reads(tmp_path: Path, encoding: str, text: str, word: str) -> None:
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    assert call(tmp_path, "read_text", path="a.txt")["text"] == text.rstrip("\n")
    assert len(call(tmp_path, "search_content", query=word)["matches"]) == 1


def test_one_wrong_byte_of_utf_8_is_kept(tmp_path: Path) -> None:
    data = "Größenübersicht\n".encode() + b"caf\xe9\n" + "Maße in Metern, für Türen über Höhe.\n".encode() * 3
    (tmp_path / "a.md").write_bytes(data)
    assert call(tmp_path, "read_text", path="a.md")["text"].startswith("Größenübersicht\ncaf")
    call(tmp_path, "edit_file", path="a.md", edits=[{"old_text": "Größenübersicht", "new_text": "Maßtafel"}])
    assert (tmp_path / "a.md").read_bytes() == data.replace("Größenübersicht".encode(), "Maßtafel".encode())


def test_characters_after_a_long_beginning_of_ascii_count(tmp_path: Path) -> None:
    data = b"number,name,price\n" * 5000 + ("301,深型フライパン,2980\n302,返品は三十日以内\n" * 3).encode("cp932")
    (tmp_path / "a.csv").write_bytes(data)
    assert "深型フライパン" in call(tmp_path, "read_text", path="a.csv", start_line=5001)["text"]


def test_paths_in_other_notations(tmp_path: Path) -> None:
    (tmp_path / "sub dir").mkdir()
    (tmp_path / "sub dir" / "a b.txt").write_text("here")
    for path in ((tmp_path / "sub dir" / "a b.txt").as_uri(), "sub dir\\a b.txt", "sub dir/a b.txt"):
        assert call(tmp_path, "read_text", path=path)["text"] == "here"
