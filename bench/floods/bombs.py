"""What clients send that is large, or small and costly. All of it is refused."""

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

HELLO: list[dict[str, str]] = [{"role": "user", "content": "Hello"}]
LONG = "a b" * 2_400_000
JSON = {"content-type": "application/json"}
CHAT, RESPONSES, FORM = "/v1/chat/completions", "/v1/responses", "boundary"


@dataclass(frozen=True)
class Bomb:
    """A request of method POST. `chunk`: bytes of each piece of a chunked body; None: it has a length. `waits`: the client reads the
    answer, else it goes away when it has sent all."""

    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    chunk: int | None = None
    waits: bool = True

    def request(self, host: str) -> bytes:
        framing = f"content-length: {len(self.body)}" if self.chunk is None else "transfer-encoding: chunked"
        lines = [f"POST {self.path} HTTP/1.1", f"host: {host}", "connection: close", framing]
        head = "\r\n".join([*lines, *(f"{name}: {value}" for name, value in self.headers.items())])
        return f"{head}\r\n\r\n".encode() + (self.body if self.chunk is None else _chunked(self.body, self.chunk))


def _chunked(body: bytes, size: int) -> bytes:
    """RFC 9112, 7.1."""
    pieces = (body[start : start + size] for start in range(0, len(body), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


Make = Callable[[], Bomb]


def _json(path: str, body: Any) -> Bomb:
    return Bomb(path, json.dumps({"model": "m", **body}).encode())


def _chat(**fields: Any) -> Bomb:
    return _json(CHAT, {"messages": HELLO, "max_tokens": 8, **fields})


def _schema(schema: dict[str, Any]) -> Bomb:
    return _chat(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}})


def _anyof(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"anyOf": [schema, {"type": "object", "properties": {"a": schema}}]}
    return schema


def _pattern(pattern: str) -> Bomb:
    return _schema(_object(pattern))


def _object(pattern: str) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}, "required": ["a"]}


def _lark(name: str, last: str) -> Bomb:
    rules = [f"{name}{i}: {name}{i + 1} {name}{i + 1}" for i in range(40)]
    return _chat(structured_outputs={"grammar": "\n".join([f"start: {name}0", *rules, f"{name}40: {last}"])})


def _doubled(depth: int) -> dict[str, Any]:
    """Definitions of which each names the next one twice: written out, the last stands there 2 to the power of `depth` times."""
    parts = {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}, {"$ref": f"#/$defs/d{i + 1}"}]} for i in range(depth)}
    return {"$ref": "#/$defs/d0", "$defs": {**parts, f"d{depth}": {"type": "string", "minLength": 5, "maxLength": 2}}}


def _tool(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters, "strict": True}}


def _tools(count: int, properties: int) -> Bomb:
    named = [{f"{i} {k}": {"type": "string", "description": "x" * 20} for k in range(properties)} for i in range(count)]
    return _chat(tools=[_tool(f"t{i}", {"type": "object", "properties": each}) for i, each in enumerate(named)])


def _form(parts: list[bytes]) -> Bomb:
    body = b"".join(b"--" + FORM.encode() + b"\r\n" + part + b"\r\n" for part in parts) + b"--" + FORM.encode() + b"--\r\n"
    return Bomb("/v1/files", body, {"content-type": f"multipart/form-data; boundary={FORM}"})


def _raw(body: str) -> Bomb:
    return Bomb(CHAT, body.encode())


def _message(content: str) -> Bomb:
    """`content`: JSON text."""
    return _raw('{"model": "m", "max_tokens": 8, "messages": [{"role": "user", "content": ' + content + "}]}")


def _zipped() -> Bomb:
    return Bomb(CHAT, gzip.compress(_chat(messages=[{"role": "user", "content": LONG}]).body), {**JSON, "content-encoding": "gzip"})


REPORTED: dict[str, Make] = {
    "7 MB, chat": lambda: _chat(messages=[{"role": "user", "content": LONG}]),
    "7 MB, completions": lambda: _json("/v1/completions", {"prompt": LONG, "max_tokens": 4}),
    "7 MB, responses": lambda: _json(RESPONSES, {"input": LONG, "store": False}),
    "7 MB, messages": lambda: _json("/v1/messages", {"messages": [{"role": "user", "content": LONG}], "max_tokens": 4}),
    "7 MB, tokenize": lambda: _json("/tokenize", {"prompt": LONG}),
    "7 MB, count_tokens": lambda: _json("/v1/messages/count_tokens", {"messages": [{"role": "user", "content": LONG}]}),
    "10,000 properties": lambda: _schema({"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(10_000)}}),
    "choice of 60,000": lambda: _chat(structured_outputs={"choice": [f"option {i}" for i in range(60_000)]}),
    "choice of 1 MB": lambda: _chat(structured_outputs={"choice": ["ab" * 500_000]}),
    "(.*[ab].{60}){3}": lambda: _chat(structured_outputs={"regex": "(.*[ab].{60}){3}"}),
    "^(a?){200}a{200}$": lambda: _pattern("^(a?){200}a{200}$"),
    "49,000 biases": lambda: _chat(logit_bias={str(i): 1 for i in range(49_000)}),
    "multipleOf 999983": lambda: _schema({"type": "object", "properties": {"n": {"type": "integer", "multipleOf": 999983}}}),
    "anyOf 16 deep": lambda: _schema(_anyof(16)),
}

BODIES: dict[str, Make] = {
    "7 MB, Ollama": lambda: _json("/api/chat", {"messages": [{"role": "user", "content": LONG}]}),
    "7 MB of spaces": lambda: _raw(" " * 7_000_000 + "{"),
    "7 MB of escapes": lambda: _message('"' + "\\u0061" * 1_200_000 + '"'),
    "7 MB number": lambda: _message("1" * 7_000_000),
    "240 kB prompt": lambda: _chat(messages=[{"role": "user", "content": "a b" * 80_000}]),
    "100,000 levels": lambda: _message("[" * 100_000 + "]" * 100_000),
    "100,000 messages": lambda: _chat(messages=HELLO * 100_000),
    "6,000 messages": lambda: _chat(messages=HELLO * 6000),
    "9,000 parts": lambda: _chat(messages=[{"role": "user", "content": [{"type": "text", "text": "x"}] * 9000}]),
    "9,000 items": lambda: _json(RESPONSES, {"input": HELLO * 9000, "store": False}),
    "3,000 images": lambda: _chat(
        messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 2000}}] * 3000}]
    ),
    "18,000 stops": lambda: _chat(stop=[str(i) for i in range(18_000)]),
    "18,000 metadata": lambda: _chat(metadata={str(i): "x" for i in range(18_000)}, store=True),
    "18,000 prompts": lambda: _json("/v1/completions", {"prompt": ["x"] * 18_000, "max_tokens": 4}),
    "18,000 embeddings": lambda: _json("/v1/embeddings", {"model": "minilm", "input": ["x"] * 18_000}),
    "7 MB, embeddings": lambda: _json("/v1/embeddings", {"model": "minilm", "input": [LONG]}),
    "18,000 to rerank": lambda: _json("/v1/rerank", {"query": "x", "documents": ["x"] * 18_000}),
    "18,000 to score": lambda: _json("/v1/score", {"text_1": "x", "text_2": ["x"] * 18_000}),
    "chunks of a byte": lambda: Bomb(CHAT, _chat(messages=[{"role": "user", "content": "a b" * 80_000}]).body, chunk=1),
    "gzip": _zipped,
    "20,000 form parts": lambda: _form([b'Content-Disposition: form-data; name="a"\r\n\r\nx'] * 20_000),
    "7 MB form header": lambda: _form([b"X-Long: " + b"x" * 7_000_000 + b"\r\n\r\nx"]),
    "32 kB header": lambda: Bomb(CHAT, b"{}", {**JSON, "x-long": "x" * 31_000}),
    "60 kB URL": lambda: Bomb(f"/v1/models/{'x' * 60_000}", b"{}"),
}

GRAMMARS: dict[str, Make] = {
    "300 tools": lambda: _tools(300, 15),
    "100 tools' patterns": lambda: _chat(
        tools=[_tool(f"f{i}", _object("^" + f"([a-m]?){{{i + 1}}}" * 40 + ("(" if i == 99 else "") + "$")) for i in range(100)]
    ),
    "enum of 100,000": lambda: _schema({"type": "object", "properties": {"a": {"enum": [f"v{i}" for i in range(100_000)]}}}),
    "$ref, doubled": lambda: _schema(_doubled(40)),
    "$ref, 4,000 deep": lambda: _schema(
        {"$ref": "#/$defs/d0", "$defs": {**{f"d{i}": {"$ref": f"#/$defs/d{i + 1}"} for i in range(4000)}, "d4000": {"$ref": "#/$defs/d0"}}}
    ),
    "Lark rules, doubled": lambda: _lark("r", "/(.*[ab].{60}){3}/"),
    "Lark terminals, doubled": lambda: _lark("T", '"a" | "b"'),
    "GBNF of 1 MB": lambda: _chat(grammar="root ::= " + " | ".join(f'"option {i}"' for i in range(60_000))),
    "GBNF, repeated": lambda: _chat(grammar='root ::= (("a"{1000}){1000}){1000}'),
}

IMPATIENT = ("7 MB, chat", "10,000 properties", "(.*[ab].{60}){3}", "6,000 messages")


def _impatient(make: Make) -> Make:
    return lambda: replace(make(), waits=False)


BOMBS: dict[str, Make] = {**REPORTED, **BODIES, **GRAMMARS}
BOMBS |= {f"{name}, not waited for": _impatient(BOMBS[name]) for name in IMPATIENT}
