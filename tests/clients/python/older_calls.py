"""llama-index and instructor, which need an older openai than the others."""

import os

from calls import KEY, MODEL, URL, call, main
from pydantic import BaseModel

os.environ.update(OPENAI_API_KEY=KEY, OPENAI_BASE_URL=f"{URL}/v1")
HELLO = [{"role": "user", "content": "Say hello."}]


class City(BaseModel):
    name: str


@call
def llama_index_chat():
    from llama_index.core.llms import ChatMessage
    from llama_index.llms.openai_like import OpenAILike

    model = OpenAILike(model=MODEL, api_base=f"{URL}/v1", api_key=KEY, is_chat_model=True, max_tokens=16, context_window=2048)
    return model.chat([ChatMessage(role="user", content="Say hello.")]).message.content


@call
def llama_index_stream_and_complete():
    from llama_index.llms.openai_like import OpenAILike

    model = OpenAILike(model=MODEL, api_base=f"{URL}/v1", api_key=KEY, is_chat_model=False, max_tokens=16, context_window=2048)
    return "".join(part.delta or "" for part in model.stream_complete("Once")) and model.complete("Once").text


@call
def instructor_tools():
    import instructor
    from openai import OpenAI

    return instructor.from_openai(OpenAI()).chat.completions.create(
        model=MODEL, messages=HELLO, response_model=City, temperature=0, max_tokens=400
    )


@call
def instructor_json_schema():
    import instructor
    from openai import OpenAI

    client = instructor.from_openai(OpenAI(), mode=instructor.Mode.JSON_SCHEMA)
    return client.chat.completions.create(model=MODEL, messages=HELLO, response_model=City, temperature=0, max_tokens=400)


if __name__ == "__main__":
    main()
