"""What clients ask of a server in containers: answers, documents, tools over MCP."""

import asyncio
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

import httpx2
from mcp import Client as McpClient
from mcp.client.streamable_http import streamable_http_client
from openai import OpenAI

LEAVE = b"# Leave\n\nEverybody has 31 days of paid leave a year."


@dataclass(frozen=True)
class Client:
    url: str
    key: str

    @property
    def openai(self) -> OpenAI:
        """With the retries that it makes for everybody: a machine that stands still for seconds makes no test fail."""
        return OpenAI(base_url=f"{self.url}/v1", api_key=self.key, timeout=120)

    def status(self, path: str) -> int:
        """0: nobody answers."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=10) as response:
                return response.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def capital(self) -> str:
        question: Any = {"role": "user", "content": "What is the capital of France?"}
        answer = self.openai.chat.completions.create(model="smollm2", messages=[question], temperature=0, max_tokens=16)
        return answer.choices[0].message.content or ""

    def remembered(self, text: str) -> str:
        """Id of a stored response."""
        return self.openai.responses.create(model="smollm2", input=text, max_output_tokens=16, temperature=0).id

    def with_document(self) -> str:
        """Id of a vector store that holds LEAVE."""
        client = self.openai
        file = client.files.create(file=("leave.md", LEAVE), purpose="assistants")
        store = client.vector_stores.create(name="handbook")
        done = client.vector_stores.files.create_and_poll(vector_store_id=store.id, file_id=file.id)
        assert done.status == "completed", done
        return store.id

    def grounded(self, store: str) -> tuple[str, list[str]]:
        """The answer out of that document, and what it cites."""
        question: Any = {"role": "user", "content": "How many days of paid leave do I have?"}
        search: Any = {"type": "file_search", "vector_store_ids": [store]}
        answer = self.openai.chat.completions.create(model="smollm2", messages=[question], tools=[search], temperature=0)
        message: Any = answer.choices[0].message
        return message.content, [citation.quote for citation in message.annotations]

    def call_tool(self, server: str, tool: str, arguments: dict[str, object]) -> tuple[bool, str]:
        """Over MCP, as other programs do it: whether it failed, and its text."""
        return asyncio.run(self._call_tool(server, tool, arguments))

    async def _call_tool(self, server: str, tool: str, arguments: dict[str, object]) -> tuple[bool, str]:
        http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {self.key}"}, timeout=60)
        async with http, McpClient(streamable_http_client(f"{self.url}/mcp/{server}", http_client=http)) as client:
            result = await client.call_tool(tool, arguments)
        return bool(result.is_error), "\n".join(block.text for block in result.content if block.type == "text")
