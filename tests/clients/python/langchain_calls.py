from calls import EMBEDDER, KEY, MODEL, URL, call, main
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel


@tool
def weather(city: str) -> str:
    """The weather."""
    return "sunny"


class City(BaseModel):
    name: str


def model(**options):
    return ChatOpenAI(model=MODEL, base_url=f"{URL}/v1", api_key=KEY, temperature=0, max_tokens=400, max_retries=0, **options)


@call
def invoke():
    return model().invoke([SystemMessage("Be brief."), HumanMessage("Say hello.")]).content


@call
def stream():
    return "".join(chunk.content for chunk in model(stream_usage=True).stream("Say hello."))


@call
def batch():
    return len(model().batch(["Say hello.", "Say goodbye."])) == 2


@call
async def ainvoke():
    return (await model(reasoning_effort="low").ainvoke("Say hello.")).content


@call
def structured_json_schema():
    return model().with_structured_output(City).invoke("Name a city.")


@call
def structured_by_function():
    return model().with_structured_output(City, method="function_calling").invoke("Name a city.")


@call
def structured_json_mode():
    return (
        model()
        .with_structured_output(City, method="json_mode", include_raw=True)
        .invoke('Name a city as JSON {"name": ...}.')["raw"]
        .content
    )


@call
def tools():
    made = model().bind_tools([weather], tool_choice="any").invoke("Weather?")
    answer = ToolMessage("sunny", tool_call_id=made.tool_calls[0]["id"])
    return isinstance(model().bind_tools([weather]).invoke([HumanMessage("Weather?"), made, answer]), AIMessage)


@call
def responses_api():
    return model(use_responses_api=True).invoke("Say hello.").content


@call
def embeddings():
    return OpenAIEmbeddings(model=EMBEDDER, base_url=f"{URL}/v1", api_key=KEY, check_embedding_ctx_length=False).embed_documents(["a", "b"])


if __name__ == "__main__":
    main()
