import anthropic
from calls import KEY, MODEL, URL, call, main

client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0)
HELLO = [{"role": "user", "content": "Say hello."}]
WEATHER = {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}


@call
def message():
    return client.messages.create(model=MODEL, max_tokens=16, messages=HELLO).content[0].text


@call
def message_with_hints():
    return client.messages.create(
        model=MODEL,
        max_tokens=2000,
        messages=[*HELLO, {"role": "user", "content": "Now."}],
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        thinking={"type": "enabled", "budget_tokens": 1024},
        stop_sequences=["."],
        metadata={"user_id": "u"},
        service_tier="auto",
    ).usage.output_tokens


@call
def prefill():
    return client.messages.create(model=MODEL, max_tokens=8, messages=[*HELLO, {"role": "assistant", "content": "1, 2,"}]).content


@call
def stream():
    with client.messages.stream(model=MODEL, max_tokens=16, messages=HELLO) as found:
        return "".join(found.text_stream) and found.get_final_message().usage.output_tokens


@call
def tools_and_answer():
    first = client.messages.create(model=MODEL, max_tokens=100, messages=HELLO, tools=[WEATHER], tool_choice={"type": "any"})
    made = next(block for block in first.content if block.type == "tool_use")
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": made.id, "content": "sunny"}]}
    history = [*HELLO, {"role": "assistant", "content": first.content}, result]
    return client.messages.create(model=MODEL, max_tokens=16, messages=history, tools=[WEATHER]).stop_reason


@call
def hosted_tool_beside():
    search = {"type": "web_search_20250305", "name": "web_search"}
    return client.messages.create(model=MODEL, max_tokens=16, messages=HELLO, tools=[WEATHER, search]).content is not None


@call
def count_tokens():
    return client.messages.count_tokens(model=MODEL, messages=HELLO).input_tokens


@call
def models():
    return client.models.retrieve(client.models.list().data[0].id).id


@call
def tool_runner():
    @anthropic.beta_tool
    def weather(city: str) -> str:
        """The weather.

        Args:
            city: where
        """
        return "sunny"

    runner = client.beta.messages.tool_runner(model=MODEL, max_tokens=64, messages=HELLO, tools=[weather])
    return [message.stop_reason for message in runner]


if __name__ == "__main__":
    main()
