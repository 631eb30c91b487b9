"""What of our answers OpenAI's specification does not know, with the reason why it is there all the same."""

from typing import Any

OPEN_RESPONSES = "Open Responses requires it; OpenAI's servers send it, too"
WARNINGS = "fields of the request that had no effect"
PLACE = "where in the document"
VLLM, LLAMACPP = "what clients of vLLM read, where they ask for it", "what clients of llama.cpp read, where they ask for it"
TOOLS = "tools that the server has run"
PLACES = ("chunk_id", "vector_store_id", "page", "start", "end", "start_seconds", "end_seconds", "picture", "url")
WHERE = dict.fromkeys(PLACES, PLACE)
COMPLETION = {"warnings": WARNINGS, "timings": LLAMACPP, "prompt_token_ids": VLLM, "prompt_logprobs": VLLM}

TASK, USAGE = "OpenAI's servers send it, and the specification's example has it", "as transcriptions have it"
SEED = "with which a picture can be made again"

EXTENSIONS: dict[str, dict[str, str]] = {  # fields by schema, or by the field that holds a schema without a name
    "CreateTranscriptionResponseJson": {"warnings": WARNINGS},
    "CreateTranscriptionResponseVerboseJson": {"task": TASK, "warnings": WARNINGS},
    "CreateTranslationResponseJson": {"usage": USAGE},
    "CreateTranslationResponseVerboseJson": {"task": TASK, "usage": USAGE},
    "Response": {"presence_penalty": OPEN_RESPONSES, "frequency_penalty": OPEN_RESPONSES, "store": OPEN_RESPONSES, "warnings": WARNINGS},
    "CustomToolCall": {"status": "CustomToolCallResource, the same item elsewhere, requires it"},
    "CustomToolCallOutput": {"status": "CustomToolCallOutputResource, the same item elsewhere, requires it"},
    "FileCitationBody": {**WHERE, "quote": PLACE, "score": PLACE},
    "results[]": {**WHERE, "headings": PLACE},
    "ResponseLogProb": {"bytes": "Open Responses requires it, as in the finished text"},
    "CompactResource": {"warnings": WARNINGS},
    "CreateChatCompletionResponse": {**COMPLETION, "file_search_call": TOOLS, "mcp_list_tools": TOOLS},
    "CreateChatCompletionStreamResponse": {**COMPLETION, "file_search_call": TOOLS, "mcp_list_tools": TOOLS},
    "CreateCompletionResponse": COMPLETION,
    "choices[]": {"token_ids": VLLM, "prompt_logprobs": VLLM, "prompt_token_ids": VLLM, "stop_reason": VLLM},
    "ChatCompletionResponseMessage": {
        "reasoning_content": "thoughts; llama.cpp, SGLang and DeepSeek send them so",
        "reasoning": "thoughts; vLLM and OpenRouter send them so",
        "mcp_calls": TOOLS,
        "mcp_approval_requests": TOOLS,
    },
    "ChatCompletionStreamResponseDelta": {
        "reasoning_content": "thoughts; llama.cpp, SGLang and DeepSeek send them so",
        "reasoning": "thoughts; vLLM and OpenRouter send them so",
        "mcp_calls": TOOLS,
        "mcp_approval_requests": TOOLS,
        "annotations": "as in the whole message",
    },
    "VectorStoreSearchResultItem": {**WHERE, "headings": PLACE},
    "VectorStoreFileObject": dict.fromkeys(("filename", "state", "progress", "notes"), "what became of the file, for people"),
    "Model": {
        "max_model_len": "vLLM's name of the context",
        "sampling": "the model's defaults, of generation_config.json",
        **dict.fromkeys(("input_modalities", "output_modalities"), "OpenRouter's"),
    },
    "ImagesResponse": {"warnings": WARNINGS},
    "Image": {"seed": SEED},
    "ImageGenCompletedEvent": {"seed": SEED},
    "ImageEditCompletedEvent": {"seed": SEED},
    "VectorStoreObject": {"description": "CreateVectorStoreRequest has it", "embedding_model": "of its vectors"},
}

NULLABLE: dict[str, dict[str, str]] = {  # fields, or elements of lists, that the specification does not let be null
    "Response": {"usage": "null until the response is finished: Open Responses requires it"},
    "CreateCompletionResponse": {"usage": "chunks before the last, where usage is asked for: as in Chat Completions"},
    "choices[]": {"finish_reason": "chunks before the last: as in Chat Completions"},
    "token_logprobs": {"[]": "the first token of a prompt has no probability"},
    "top_logprobs": {"[]": "the first token of a prompt has no probability"},
}

FREE = {"size": "a model of pictures makes those of one size"}  # fields with other values than the specification lists

ALTERNATIVES = {"annotations[]": "ChatCompletionFileCitation"}  # elements of lists; the specification only knows citations of the web

REPLACED: dict[str, Any] = {  # schemas that are wrong in the specification, or not in it
    "ChatCompletionFileCitation": {  # ours
        "type": "object",
        "required": ["type", "index", "file_id", "filename"],
        "properties": {
            **{key: {"type": "string"} for key in ("file_id", "filename", "quote", "vector_store_id", "url")},
            **{key: {"type": "integer"} for key in ("index", "start", "end", "chunk_id")},
            "page": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
            **{key: {"anyOf": [{"type": "number"}, {"type": "null"}]} for key in ("start_seconds", "end_seconds")},
            "picture": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "score": {"type": "number"},
            "type": {"type": "string", "enum": ["file_citation"]},
        },
    },
    "Embedding": {
        "type": "object",
        "required": ["index", "object", "embedding"],
        "properties": {
            "index": {"type": "integer"},
            "object": {"type": "string", "enum": ["embedding"]},
            "embedding": {"anyOf": [{"type": "array", "items": {"type": "number"}}, {"type": "string"}]},  # encoding_format base64
        },
    },
}
