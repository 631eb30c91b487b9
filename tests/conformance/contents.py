"""Tools, resources and prompts of every kind of content, as the conformance suite calls them; names and texts are the suite's."""

import asyncio
import base64
import json
from collections.abc import Sequence
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.prompts.base import Message, UserMessage
from mcp.server.mcpserver.tools import Tool
from mcp.types import (
    AudioContent,
    Completion,
    CompletionArgument,
    CompletionContext,
    EmbeddedResource,
    ImageContent,
    PromptReference,
    ResourceTemplateReference,
    TextContent,
    TextResourceContents,
)
from pydantic import Field

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"  # one, red
SILENCE = base64.b64encode(b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\0\0\0\0").decode()
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"address": {"$anchor": "addressDef", "type": "object", "properties": {"street": {"type": "string"}}}},
    "properties": {
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
CITIES = ("paris", "park", "party")


def add_tools(server: MCPServer) -> None:
    contents: dict[str, Sequence[Any]] = {
        "test_simple_text": [_text("This is a simple text response for testing.")],
        "test_image_content": [_image()],
        "test_audio_content": [AudioContent(type="audio", data=SILENCE, mime_type="audio/wav")],
        "test_embedded_resource": [_embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")],
        "test_multiple_content_types": [
            _text("Multiple content types test:"),
            _image(),
            _embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
        ],
    }
    for name, content in contents.items():
        server.add_tool(_returning(content), name, description=f"Answers with {len(content)} fixed parts", structured_output=False)
    server.add_tool(fail, "test_error_handling", description="Fails, always", structured_output=False)
    server.add_tool(report, "test_tool_with_progress", description="Reports its progress", structured_output=False)
    server.add_tool(mirror, "test_x_mcp_header", description="Has an argument that is mirrored in a header", structured_output=False)


def rich_tool() -> Tool:
    """Its schema uses keywords of JSON Schema 2020-12 that pydantic does not write; they must arrive as they are."""
    tool = Tool.from_function(lambda: "Ok", "json_schema_2020_12_tool", description="Has a rich schema", structured_output=False)
    tool.parameters = SCHEMA
    return tool


def _returning(content: Sequence[Any]) -> Any:
    def answer() -> Sequence[Any]:
        return content

    return answer


def fail() -> str:
    raise ValueError("This tool intentionally returns an error for testing")


async def report(ctx: Context) -> str:
    for done in (0, 50, 100):
        await ctx.report_progress(done, 100)
        await asyncio.sleep(0.05)
    return "Three reports"


def mirror(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
    return f"Region: {region}"


def add_resources(server: MCPServer) -> None:
    @server.resource("test://static-text", description="A text", mime_type="text/plain")
    def static_text() -> str:
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", description="A picture", mime_type="image/png")
    def static_binary() -> bytes:
        return base64.b64decode(PIXEL)

    @server.resource("test://watched-resource", description="One to subscribe to", mime_type="text/plain")
    def watched() -> str:
        return "Watched"

    @server.resource("test://template/{id}/data", description="A template", mime_type="application/json")
    def template(id: str) -> str:
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def add_prompts(server: MCPServer) -> None:
    @server.prompt("test_simple_prompt", description="Has no arguments")
    def simple() -> list[Message]:
        return [UserMessage("This is a simple prompt for testing.")]

    @server.prompt("test_prompt_with_arguments", description="Has two arguments")
    def two(arg1: str, arg2: str) -> list[Message]:
        return [UserMessage(f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'")]

    @server.prompt("test_prompt_with_embedded_resource", description="Holds a resource")
    def embedding(resourceUri: str) -> list[Message]:  # the suite's name
        held = _embedded(resourceUri, "text/plain", "Embedded resource content for testing.")
        return [UserMessage(held), UserMessage("Please process the embedded resource above.")]

    @server.prompt("test_prompt_with_image", description="Holds a picture")
    def picturing() -> list[Message]:
        return [UserMessage(_image()), UserMessage("Please analyze the image above.")]

    @server.completion()
    async def complete(
        ref: PromptReference | ResourceTemplateReference, argument: CompletionArgument, context: CompletionContext | None
    ) -> Completion:
        found = [city for city in CITIES if city.startswith(argument.value)]
        return Completion(values=found, total=len(found), has_more=False)


def _text(text: str) -> TextContent:
    return TextContent(type="text", text=text)


def _image() -> ImageContent:
    return ImageContent(type="image", data=PIXEL, mime_type="image/png")


def _embedded(uri: str, media_type: str, text: str) -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=media_type, text=text))
