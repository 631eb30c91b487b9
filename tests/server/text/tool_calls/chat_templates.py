"""Chat templates that support tools, modelled on those of the families, with tokenizers that have their tokens."""

import json
from collections.abc import Callable
from pathlib import Path

from tokenizers import Tokenizer

from tests.packed import chat_templates
from tests.server.worlds import CHATML, GEMMA, MISTRAL, chatml, gemma, llama3, mistral

TOOLS_IN_SYSTEM = (
    "{% if tools %}{{ '<|im_start|>system\n' + (messages[0].content + '\n\n' if messages[0].role == 'system' else '') + '# Tools' }}"
    "{% for tool in tools %}{{ '\n' + (tool | tojson) }}{% endfor %}{{ '<|im_end|>\n' }}"
    "{% elif messages[0].role == 'system' %}{{ '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}{% endif %}"
)
GENERATION = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
HERMES = (
    TOOLS_IN_SYSTEM + "{% for m in messages %}{% if m.role == 'user' %}{{ '<|im_start|>user\n' + m.content + '<|im_end|>\n' }}"
    "{% elif m.role == 'assistant' %}{{ '<|im_start|>assistant' }}{% if m.content %}{{ '\n' + m.content }}{% endif %}"
    '{% for call in m.tool_calls %}{{ \'\n<tool_call>\n{"name": "\' + call.function.name + \'", "arguments": \' }}'
    "{{ call.function.arguments | tojson }}{{ '}\n</tool_call>' }}{% endfor %}{{ '<|im_end|>\n' }}"
    "{% elif m.role == 'tool' %}{% if loop.previtem.role != 'tool' %}{{ '<|im_start|>user' }}{% endif %}"
    "{{ '\n<tool_response>\n' + m.content + '\n</tool_response>' }}"
    "{% if loop.last or loop.nextitem.role != 'tool' %}{{ '<|im_end|>\n' }}{% endif %}{% endif %}{% endfor %}" + GENERATION
)
CODER = (
    TOOLS_IN_SYSTEM + "{% for m in messages %}{% if m.role == 'user' %}{{ '<|im_start|>user\n' + m.content + '<|im_end|>\n' }}"
    "{% elif m.role == 'assistant' %}{{ '<|im_start|>assistant\n' + (m.content or '') }}{% for call in m.tool_calls %}"
    "{{ '\n<tool_call>\n<function=' + call.function.name + '>\n' }}{% for name, value in call.function.arguments | items %}"
    "{{ '<parameter=' + name + '>\n' + (value if value is string else value | tojson) + '\n</parameter>\n' }}{% endfor %}"
    "{{ '</function>\n</tool_call>' }}{% endfor %}{{ '<|im_end|>\n' }}"
    "{% elif m.role == 'tool' %}{{ '<|im_start|>user\n<tool_response>\n' + m.content + '\n</tool_response><|im_end|>\n' }}{% endif %}"
    "{% endfor %}" + GENERATION
)
LLAMA = (
    "{{ bos_token }}{% for m in messages %}{% if m.tool_calls %}{% if m.tool_calls | length != 1 %}"
    "{{ raise_exception('This model only supports single tool-calls at once!') }}{% endif %}{% set call = m.tool_calls[0].function %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n{\"name\": \"' + call.name + '\", ' }}"
    "{{ '\"parameters\": ' + (call.arguments | tojson) + '}<|eot_id|>' }}"
    "{% elif m.role == 'tool' %}{{ '<|start_header_id|>ipython<|end_header_id|>\n\n' + (m.content | tojson) + '<|eot_id|>' }}"
    "{% else %}{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' }}{% if tools and loop.first %}"
    "{% for tool in tools %}{{ (tool | tojson(indent=4)) + '\n\n' }}{% endfor %}{% endif %}{{ m.content | trim + '<|eot_id|>' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
SHORT_IDS = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{% if tools and loop.first %}"
    "{{ '[AVAILABLE_TOOLS] ' + (tools | tojson) + '[/AVAILABLE_TOOLS]' }}{% endif %}{{ '[INST] ' + m.content + '[/INST]' }}"
    "{% elif m.tool_calls is defined and m.tool_calls is not none %}{{ '[TOOL_CALLS] [' }}{% for call in m.tool_calls %}"
    "{% if call.id | length != 9 %}{{ raise_exception('Tool call IDs should be alphanumeric strings with length 9!') }}{% endif %}"
    "{{ (call.function | tojson)[:-1] + ', \"id\": \"' + call.id + '\"}' + (']' if loop.last else ', ') }}{% endfor %}{{ eos_token }}"
    "{% elif m.role == 'tool' %}{% if m.tool_call_id | length != 9 %}{{ raise_exception('IDs should have length 9!') }}{% endif %}"
    "{{ '[TOOL_RESULTS] {\"content\": ' + (m.content | tojson) + ', \"call_id\": \"' + m.tool_call_id + '\"}[/TOOL_RESULTS]' }}"
    "{% elif m.role == 'assistant' %}{{ ' ' + m.content + eos_token }}{% else %}{{ raise_exception('only user and assistant') }}{% endif %}"
    "{% endfor %}"
)
DEEPSEEK = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}{% elif m.role == 'user' %}{{ '<｜User｜>' }}"
    "{% if tools and loop.first %}{% for tool in tools %}{{ (tool.function | tojson) + '\n' }}{% endfor %}{% endif %}{{ m.content }}"
    "{% elif m.tool_calls %}{{ '<｜Assistant｜><｜tool▁calls▁begin｜>' }}{% for call in m.tool_calls %}"
    "{{ '<｜tool▁call▁begin｜>function<｜tool▁sep｜>' + call.function.name }}"
    "{{ '\n```json\n' + call.function.arguments + '\n```<｜tool▁call▁end｜>' }}"
    "{{ '' if loop.last else '\n' }}{% endfor %}{{ '<｜tool▁calls▁end｜><|im_end|>' }}"
    "{% elif m.role == 'assistant' %}{{ '<｜Assistant｜>' + m.content + '<|im_end|>' }}"
    "{% elif m.role == 'tool' %}{{ '<｜tool▁output▁begin｜>' + m.content + '<｜tool▁output▁end｜>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<｜Assistant｜>' }}{% endif %}"
)
LFM = (
    TOOLS_IN_SYSTEM + "{% for m in messages %}{% if m.role != 'system' %}{{ '<|im_start|>' + m.role + '\n' + (m.content or '') }}"
    "{% if m.tool_calls %}{{ '<|tool_call_start|>[' }}{% for call in m.tool_calls %}{{ call.function.name + '(' }}"
    "{% for name, value in call.function.arguments | items %}{{ name + '=' + (value | tojson) + ('' if loop.last else ', ') }}{% endfor %}"
    "{{ ')' + ('' if loop.last else ', ') }}{% endfor %}{{ ']<|tool_call_end|>' }}{% endif %}{{ '<|im_end|>\n' }}{% endif %}{% endfor %}"
    + GENERATION
)
HARMONY = (
    "{% if tools %}{{ '<|start|>developer<|message|># Tools\n' }}{% for tool in tools %}{{ '// ' + tool.function.description + '\ntype ' }}"
    "{{ tool.function.name + ' = (_: ' + (tool.function.parameters | tojson) + ')\n' }}{% endfor %}{{ '<|end|>' }}{% endif %}"
    "{% for m in messages %}{% if m.role == 'assistant' and m.tool_calls %}{% for call in m.tool_calls %}"
    "{{ '<|start|>assistant to=functions.' + call.function.name + '<|channel|>commentary json<|message|>' }}"
    "{{ (call.function.arguments | tojson) + '<|call|>' }}{% endfor %}"
    "{% elif m.role == 'assistant' %}{{ '<|start|>assistant<|channel|>final<|message|>' + m.content + '<|end|>' }}"
    "{% elif m.role == 'tool' %}{{ '<|start|>functions to=assistant<|channel|>commentary<|message|>' + m.content + '<|end|>' }}"
    "{% else %}{{ '<|start|>' + m.role + '<|message|>' + m.content + '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}"
)

KIMI = chat_templates()["moonshotai-Kimi-K2.jinja"]


def _world(
    base: Callable[[], tuple[Tokenizer, dict[str, str]]], template: str, special: list[str], added: list[str] | None = None
) -> tuple[Tokenizer, dict[str, str]]:
    tokenizer, config = base()
    tokenizer.add_special_tokens(special)
    tokenizer.add_tokens(added or [])
    return tokenizer, {**config, "chat_template": template}


SEEK = ["<｜User｜>", "<｜Assistant｜>", "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>"]
SEEK_CALLS = ["<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"]
KIMI_TOKENS = ["<|im_system|>", "<|im_user|>", "<|im_assistant|>", "<|im_middle|>", "<|tool_calls_section_begin|>"]
KIMI_TOKENS += ["<|tool_calls_section_end|>", "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>"]
CHANNELS = ["<|start|>", "<|channel|>", "<|message|>", "<|constrain|>", "<|end|>", "<|call|>", "<|return|>"]
FIM = ["<|object_ref_start|>", "<|object_ref_end|>", "<|file_sep|>"]  # words of schemas stand in them

# name -> (tokenizer and template, the dialect that it is)
FAMILIES: dict[str, tuple[Callable[[], tuple[Tokenizer, dict[str, str]]], str]] = {
    "hermes": (lambda: _world(chatml, HERMES, FIM, ["<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]), "hermes"),
    "hermes-as-text": (lambda: _world(chatml, HERMES, []), "hermes"),
    "coder": (lambda: _world(chatml, CODER, FIM, ["<tool_call>", "</tool_call>"]), "qwen3-coder"),
    "llama": (lambda: _world(llama3, LLAMA, ["<|python_tag|>", "<|eom_id|>"]), "json"),
    "mistral": (lambda: _world(mistral, SHORT_IDS, ["[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"]), "mistral"),
    "deepseek": (lambda: _world(chatml, DEEPSEEK, [*SEEK, *SEEK_CALLS]), "deepseek"),
    "kimi": (lambda: _world(chatml, KIMI, KIMI_TOKENS), "kimi"),
    "lfm": (lambda: _world(chatml, LFM, ["<|tool_call_start|>", "<|tool_call_end|>"]), "lfm2"),
    "harmony": (lambda: _world(chatml, HARMONY, CHANNELS), "harmony"),
}
IN_TURNS = (
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{% set role"
)
PLAIN: dict[str, Callable[[], tuple[Tokenizer, dict[str, str]]]] = {
    "chatml": lambda: _world(chatml, CHATML, []),
    "no-system": lambda: _world(mistral, MISTRAL, []),
    "in-turns": lambda: _world(gemma, GEMMA.replace("{% set role", IN_TURNS), []),
}


def save(name: str, directory: Path) -> Path:
    tokenizer, config = FAMILIES[name][0]() if name in FAMILIES else PLAIN[name]()
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(directory / "tokenizer.json"))
    (directory / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **config}))
    return directory
