import ollama
from calls import EMBEDDER, MODEL, URL, call, main

client = ollama.Client(host=URL)
HELLO = [{"role": "user", "content": "Say hello."}]
SHORT = {"num_predict": 16, "temperature": 0, "num_ctx": 1024}


def weather(city: str) -> str:
    """The weather.

    Args:
        city: where
    """
    return "sunny"


@call
def chat():
    return client.chat(MODEL, HELLO, options=SHORT, keep_alive="5m").message.content


@call
def chat_stream():
    return list(client.chat(MODEL, HELLO, options=SHORT, stream=True))[-1].eval_count


@call
def chat_format():
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return client.chat(MODEL, HELLO, options={"num_predict": 60}, format=schema).message.content.startswith("{")


@call
def chat_tools():
    return client.chat(MODEL, HELLO, tools=[weather], options=SHORT).message is not None


@call
def generate():
    return client.generate(MODEL, "Say hello.", system="Be brief.", options=SHORT).response


@call
def generate_stream():
    return "".join(part.response for part in client.generate(MODEL, "Once", raw=True, options=SHORT, stream=True))


@call
def embed():
    return len(client.embed(EMBEDDER, ["a", "b"]).embeddings) == 2


@call
def embeddings():
    return client.embeddings(EMBEDDER, "a").embedding


@call
def models():
    return client.list().models[0].model and client.show(MODEL).capabilities and client.ps().models


if __name__ == "__main__":
    main()
