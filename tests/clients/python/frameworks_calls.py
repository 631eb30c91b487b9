"""litellm, pydantic-ai, openai-agents and haystack."""

import asyncio
import os

from calls import KEY, MODEL, URL, call, main
from pydantic import BaseModel

os.environ.update(OPENAI_API_KEY=KEY, OPENAI_BASE_URL=f"{URL}/v1", HAYSTACK_TELEMETRY_ENABLED="false", OPENAI_AGENTS_DISABLE_TRACING="1")
HELLO = [{"role": "user", "content": "Say hello."}]
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}},
}


class City(BaseModel):
    name: str


@call
def litellm_completion():
    import litellm

    return litellm.completion(f"openai/{MODEL}", HELLO, api_base=f"{URL}/v1", api_key=KEY, max_tokens=16).choices


@call
def litellm_stream_with_tools():
    import litellm

    found = litellm.completion(
        f"openai/{MODEL}", HELLO, api_base=f"{URL}/v1", api_key=KEY, max_tokens=60, stream=True, tools=[WEATHER], tool_choice="required"
    )
    return [chunk for chunk in found if chunk.choices and chunk.choices[0].delta.tool_calls]


@call
def litellm_anthropic():
    import litellm

    return litellm.completion(f"anthropic/{MODEL}", HELLO, api_base=URL, api_key=KEY, max_tokens=16).choices


@call
def litellm_ollama():
    import litellm

    return litellm.completion(f"ollama_chat/{MODEL}", HELLO, api_base=URL, max_tokens=16).choices


@call
def pydantic_ai_agent():
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=f"{URL}/v1", api_key=KEY))
    return Agent(model, instructions="Be brief.", model_settings={"max_tokens": 32}).run_sync("Say hello.").output


@call
def pydantic_ai_structured():
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=f"{URL}/v1", api_key=KEY))
    return Agent(model, output_type=City, model_settings={"temperature": 0, "max_tokens": 400}).run_sync("Name a city.").output


@call
def pydantic_ai_responses():
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIResponsesModel(MODEL, provider=OpenAIProvider(base_url=f"{URL}/v1", api_key=KEY))
    return Agent(model, model_settings={"max_tokens": 32}).run_sync("Say hello.").output


@call
def openai_agents_responses():
    from agents import Agent, ModelSettings, Runner

    agent = Agent(name="Greeter", instructions="Be brief.", model=MODEL, model_settings=ModelSettings(max_tokens=400, temperature=0))
    return asyncio.run(Runner.run(agent, "Say hello.")).final_output


@call
def openai_agents_chat_with_tool():
    from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, Runner, function_tool
    from openai import AsyncOpenAI

    @function_tool
    def weather(city: str) -> str:
        """The weather."""
        return "sunny"

    model = OpenAIChatCompletionsModel(MODEL, AsyncOpenAI())
    settings = ModelSettings(max_tokens=64, tool_choice="required")
    return asyncio.run(Runner.run(Agent(name="A", tools=[weather], model=model, model_settings=settings), "Weather in Rome?")).final_output


@call
def haystack_chat():
    from haystack.components.generators.chat import OpenAIChatGenerator
    from haystack.dataclasses import ChatMessage

    generator = OpenAIChatGenerator(model=MODEL, api_base_url=f"{URL}/v1", generation_kwargs={"max_tokens": 16})
    return generator.run([ChatMessage.from_system("Be brief."), ChatMessage.from_user("Say hello.")])["replies"][0].text


if __name__ == "__main__":
    main()
