"""Tools that ask the client something: requests of the server's own until 2025-11-25, results that require input from 2026-07-28
on. Names and texts are the conformance suite's."""

import asyncio
from collections.abc import Mapping
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)

PREFIX = "test_input_required_result"
Answer = str | InputRequiredResult


def add_requests(server: MCPServer) -> None:
    """Of the revisions until 2025-11-25."""

    @server.tool("test_sampling", description="Asks the client's model", structured_output=False)
    async def sampling(prompt: str, ctx: Context) -> str:
        message = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
        result = await ctx.request_context.session.create_message([message], max_tokens=100)
        return f"LLM response: {getattr(result.content, 'text', '')}"

    @server.tool("test_elicitation", description="Asks the user", structured_output=False)
    async def elicitation(message: str, ctx: Context) -> str:
        return f"User response: {await _elicit(ctx, message, _form('username', 'email'))}"

    @server.tool("test_elicitation_sep1034_defaults", description="Asks with defaults", structured_output=False)
    async def defaults(ctx: Context) -> str:
        return f"Elicitation completed: {await _elicit(ctx, 'Your details, please', DEFAULTS)}"

    @server.tool("test_elicitation_sep1330_enums", description="Asks for choices", structured_output=False)
    async def enums(ctx: Context) -> str:
        return f"Elicitation completed: {await _elicit(ctx, 'Choose', ENUMS)}"

    @server.tool("test_tool_with_logging", description="Logs three lines", structured_output=False)
    async def logging(ctx: Context) -> str:
        for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            await ctx.request_context.session.send_log_message("info", line, related_request_id=ctx.request_id)
            await asyncio.sleep(0.05)
        return "Three lines"


async def _elicit(ctx: Context, message: str, schema: Mapping[str, Any]) -> str:
    result = await ctx.request_context.session.elicit_form(message, dict(schema), related_request_id=ctx.request_id)
    return f"action={result.action}, content={result.content}"


def add_results(server: MCPServer) -> None:
    """Of 2026-07-28. The SDK seals the state: what comes back has not been changed."""

    @server.tool(f"{PREFIX}_elicitation", description="Asks for a name")
    async def elicitation(ctx: Context) -> Answer:
        name = _content(ctx, "user_name").get("name")
        return f"Hello, {name}!" if name else InputRequiredResult(input_requests={"user_name": ASK_NAME})

    @server.tool(f"{PREFIX}_sampling", description="Asks the client's model")
    async def sampling(ctx: Context) -> Answer:
        said = (ctx.input_responses or {}).get("capital_question")
        if not isinstance(said, CreateMessageResult):
            return InputRequiredResult(input_requests={"capital_question": _sample("What is the capital of France?")})
        return f"The model said: {said.content}"

    @server.tool(f"{PREFIX}_list_roots", description="Asks for the roots")
    async def roots(ctx: Context) -> Answer:
        said = (ctx.input_responses or {}).get("client_roots")
        if not isinstance(said, ListRootsResult):
            return InputRequiredResult(input_requests={"client_roots": ListRootsRequest()})
        return f"Roots: {', '.join(str(root.uri) for root in said.roots)}"

    @server.tool(f"{PREFIX}_request_state", description="Asks, with a state")
    async def stated(ctx: Context) -> Answer:
        return _confirmed(ctx, "waiting", "state-ok")

    @server.tool(f"{PREFIX}_tampered_state", description="Asks, with a state that may not be changed")
    async def tampered(ctx: Context) -> Answer:
        return _confirmed(ctx, "sealed", "untouched")

    @server.tool(f"{PREFIX}_multiple_inputs", description="Asks three things at once")
    async def several(ctx: Context) -> Answer:
        asked: dict[str, InputRequest] = {"user_name": ASK_NAME, "greeting": _sample("A greeting"), "client_roots": ListRootsRequest()}
        if set(asked) <= set(ctx.input_responses or {}):
            return "All three answers are there"
        return InputRequiredResult(input_requests=asked, request_state="three")

    @server.tool(f"{PREFIX}_multi_round", description="Asks twice")
    async def rounds(ctx: Context) -> Answer:
        match ctx.request_state:
            case None:
                return InputRequiredResult(input_requests={"step1": _ask("Step 1: What is your name?", "name")}, request_state="1")
            case "1":
                asked = _ask("Step 2: What is your favorite color?", "color")
                return InputRequiredResult(input_requests={"step2": asked}, request_state="2")
            case _:
                return f"Color: {_content(ctx, 'step2').get('color')}"

    @server.tool(f"{PREFIX}_capabilities", description="Asks what the client can answer")
    async def capable(ctx: Context) -> Answer:
        can = ctx.client_capabilities
        if ctx.input_responses:
            return f"Answered: {', '.join(sorted(ctx.input_responses))}"
        asked: dict[str, InputRequest] = {}
        if can is not None and can.sampling is not None:
            asked["question"] = _sample("Anything")
        if can is not None and can.elicitation is not None:
            asked["user_name"] = ASK_NAME
        return InputRequiredResult(input_requests=asked) if asked else "The client can answer nothing"

    @server.prompt(f"{PREFIX}_prompt", description="Asks for its context")
    async def prompt(ctx: Context) -> Answer:
        context = _content(ctx, "user_context").get("context")
        asked = _ask("What context should the prompt use?", "context")
        return str(context) if context else InputRequiredResult(input_requests={"user_context": asked})


def add_diagnostics(server: MCPServer) -> None:
    """What the scenario `server-stateless` calls."""

    @server.tool("test_missing_capability", description="Needs sampling", structured_output=False)
    async def missing(ctx: Context) -> str:
        if ctx.client_capabilities is None or ctx.client_capabilities.sampling is None:
            data = {"requiredCapabilities": {"sampling": {}}}
            raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "the client must be able to sample", data)
        return "The client can sample"

    @server.tool("test_streaming_elicitation", description="Reports progress, then asks")
    async def streaming(ctx: Context) -> Answer:
        await ctx.report_progress(1, 2)
        return InputRequiredResult(input_requests={"user_name": ASK_NAME}) if not ctx.input_responses else "Answered"

    @server.tool("test_logging_tool", description="Logs a line if it may", structured_output=False)
    async def logging(ctx: Context) -> str:
        await ctx.request_context.session.send_log_message("info", "a line", related_request_id=ctx.request_id)
        return "One line"

    @server.tool("test_trigger_tool_change", description="Says that the tools have changed", structured_output=False)
    async def tools(ctx: Context) -> str:
        await ctx.notify_tools_changed()
        return "Said"

    @server.tool("test_trigger_prompt_change", description="Says that the prompts have changed", structured_output=False)
    async def prompts(ctx: Context) -> str:
        await ctx.notify_prompts_changed()
        return "Said"


def _confirmed(ctx: Context, state: str, done: str) -> Answer:
    if ctx.request_state is None:
        return InputRequiredResult(input_requests={"confirm": _ask("Please confirm", "ok", "boolean")}, request_state=state)
    if ctx.request_state != state:
        raise MCPError(INVALID_PARAMS, "requestState is of another call")
    return done


def _content(ctx: Context, key: str) -> Mapping[str, Any]:
    said = (ctx.input_responses or {}).get(key)
    return said.content or {} if isinstance(said, ElicitResult) and said.action == "accept" else {}


def _form(*names: str, kind: str = "string") -> dict[str, Any]:
    properties = {name: {"type": kind, "description": name} for name in names}
    return {"type": "object", "properties": properties, "required": list(names)}


def _ask(message: str, name: str, kind: str = "string") -> ElicitRequest:
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=_form(name, kind=kind)))


def _sample(question: str) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=TextContent(type="text", text=question))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=100))


ASK_NAME = _ask("What is your name?", "name")
DEFAULTS = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    },
}
OPTIONS = ["option1", "option2", "option3"]
TITLED = [{"const": f"value{n}", "title": f"Choice {n}"} for n in (1, 2, 3)]
ENUMS = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": OPTIONS},
        "titledSingle": {"type": "string", "oneOf": TITLED},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["One", "Two", "Three"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": OPTIONS}},
        "titledMulti": {"type": "array", "items": {"anyOf": TITLED}},
    },
}
