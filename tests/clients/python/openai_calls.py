import io
import json

import openai
from calls import EMBEDDER, KEY, MODEL, URL, call, main
from pydantic import BaseModel

client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
HELLO = [{"role": "user", "content": "Say hello."}]
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}},
}
FLAT = {"type": "function", "name": "weather", "parameters": WEATHER["function"]["parameters"]}


class City(BaseModel):
    name: str
    country: str


@call
def chat():
    return client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=16).choices[0].message.content


@call
def chat_with_hints():
    return client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "developer", "content": "Be brief.", "name": "dev"}, *HELLO],
        max_completion_tokens=16,
        reasoning_effort="low",
        verbosity="low",
        service_tier="auto",
        prompt_cache_key="k",
        user="u",
    ).choices


@call
def chat_stream():
    chunks = client.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=16, stream=True, stream_options={"include_usage": True})
    return list(chunks)[-1].usage.completion_tokens


@call
def chat_stream_helper():
    with client.chat.completions.stream(model=MODEL, messages=HELLO, stop=["."], temperature=0, max_tokens=400) as stream:
        return stream.get_final_completion().choices[0].message.content


@call
def chat_parse():
    found = client.chat.completions.parse(model=MODEL, messages=HELLO, response_format=City, temperature=0, max_tokens=400)
    return found.choices[0].message.parsed


@call
def chat_tools_and_answer():
    first = client.chat.completions.create(model=MODEL, messages=HELLO, tools=[WEATHER], tool_choice="required", max_tokens=100)
    made = first.choices[0].message
    json.loads(made.tool_calls[0].function.arguments)
    result = {"role": "tool", "tool_call_id": made.tool_calls[0].id, "content": "sunny"}
    second = client.chat.completions.create(
        model=MODEL, messages=[*HELLO, made.model_dump(exclude_none=True), result], tools=[WEATHER], max_tokens=16
    )
    return second.choices


@call
def chat_logprobs():
    found = client.chat.completions.create(model=MODEL, messages=HELLO, logprobs=True, top_logprobs=2, max_tokens=4)
    return found.choices[0].logprobs.content[0].top_logprobs


@call
def completions():
    return client.completions.create(model=MODEL, prompt="Once", max_tokens=4, echo=True, logprobs=1).choices[0].text


@call
def embeddings():
    return client.embeddings.create(model=EMBEDDER, input=["a", "b"]).data[1].embedding


@call
def models():
    return client.models.retrieve(client.models.list().data[0].id).id


@call
def responses():
    return client.responses.create(model=MODEL, input="Say hello.", max_output_tokens=16).output


@call
def responses_hints():
    return client.responses.create(
        model=MODEL,
        input=HELLO,
        instructions="Be brief.",
        reasoning={"effort": "low", "summary": "auto"},
        text={"verbosity": "low"},
        tools=[FLAT, {"type": "web_search"}],
        tool_choice="none",
        truncation="auto",
        max_output_tokens=16,
    ).output


@call
def responses_stream():
    with client.responses.stream(model=MODEL, input="Say hello.", temperature=0, max_output_tokens=400) as stream:
        kinds = [event.type for event in stream]
        return "response.output_text.delta" in kinds and stream.get_final_response().usage.output_tokens


@call
def responses_parse():
    return client.responses.parse(model=MODEL, input="A city", text_format=City, temperature=0, max_output_tokens=400).output_parsed


@call
def responses_memory():
    first = client.responses.create(model=MODEL, input="Say hello.", max_output_tokens=16)
    second = client.responses.create(model=MODEL, input="Again.", previous_response_id=first.id, max_output_tokens=16)
    return client.responses.retrieve(second.id).previous_response_id == first.id


@call
def responses_tools():
    found = client.responses.create(model=MODEL, input="Weather?", tools=[FLAT], tool_choice="required", max_output_tokens=100)
    made = next(item for item in found.output if item.type == "function_call")
    output = {"type": "function_call_output", "call_id": made.call_id, "output": "sunny"}
    return client.responses.create(model=MODEL, input=[output], previous_response_id=found.id, max_output_tokens=16).output


@call
def conversations():
    made = client.conversations.create(metadata={"a": "b"})
    client.responses.create(model=MODEL, input="Say hello.", conversation=made.id, max_output_tokens=16)
    return client.conversations.items.list(made.id).data


@call
def files_and_stores():
    file = client.files.create(file=("notes.txt", io.BytesIO(b"The boiler is in the cellar.")), purpose="assistants")
    store = client.vector_stores.create(name="notes")
    client.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id)
    hits = client.vector_stores.search(store.id, query="Where is the boiler?").data
    answer = client.responses.create(
        model=MODEL,
        input="Where is the boiler?",
        tools=[{"type": "file_search", "vector_store_ids": [store.id]}],
        include=["file_search_call.results"],
        max_output_tokens=32,
    )
    return hits and answer.output and client.files.content(file.id).read()


if __name__ == "__main__":
    main()
