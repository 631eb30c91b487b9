"""Reasoning models: chat templates of checkpoints where there is one among the test data, else the least that has the family's form, with
tokenizers that have their tokens."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from tokenizers import Tokenizer

from server.text.reasoning.api import Place
from server.text.tokenizer import ChatTokenizer, load_tokenizer
from tests.packed import chat_templates
from tests.server.worlds import save

TEMPLATES = chat_templates()
THINK, TOOLS = ["<think>", "</think>"], ["<tool_call>", "</tool_call>"]
ASSISTANT = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}TAIL{% endif %}"


def ending(tail: str = "") -> str:
    """What a template writes at the end of the prompt."""
    return ASSISTANT.replace("TAIL", tail)


CHATML = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
EMPTY_PAIR = "{% if enable_thinking is defined and not enable_thinking %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
STRIPPED = "{% if '</think>' in messages[0].content %}{% endif %}"  # as templates look for thoughts in earlier answers
DEEPSEEK = ["<｜User｜>", "<｜Assistant｜>", "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>"]
DEEPSEEK += ["<｜tool▁sep｜>", "<｜tool▁call▁end｜>", "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>", "<｜end▁of▁sentence｜>"]
KIMI_CALLS = ["<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", "<|tool_call_begin|>", "<|tool_call_end|>"]
KIMI_CALLS += ["<|tool_call_argument_begin|>"]
CHANNELS = ["<|start|>", "<|channel|>", "<|message|>", "<|constrain|>", "<|end|>", "<|call|>", "<|return|>"]


@dataclass(frozen=True)
class Family:
    """`template`: a file's name or the text; `tokens` of the marks. `text`: of an answer as generated, with its `thoughts` and
    `answer`. `place`: with thoughts on, that is with `on`; `off`: variables that switch them off."""

    template: str
    tokens: tuple[str, ...]
    text: str
    thoughts: str
    answer: str
    place: Place
    on: tuple[tuple[str, Any], ...] = ()
    off: tuple[tuple[str, Any], ...] | None = None
    added: tuple[str, ...] = ()  # other special tokens


def think(template: str, place: Place, text: str = "", *, on: Any = (), off: Any = None, added: list[str] | None = None) -> Family:
    start = "<think>\n" if place == "before" else ""
    written = text or f"{start}Hm, 2 < 3.\n</think>\n\nIt is 3."
    return Family(template, tuple(THINK), written, "Hm, 2 < 3.", "It is 3.", place, on, off, tuple(added or ()))


OFF = (("enable_thinking", False),)
ANSWER_TAGS = "<think>\nHm.\n</think>\n<{0}>\nIt is 3,\nor 4.\n</{0}>"
FAMILIES: dict[str, Family] = {
    "deepseek-r1": think("llama-cpp-deepseek-r1.jinja", "thoughts", added=DEEPSEEK),
    "qwen3": think("Qwen-Qwen3-0.6B.jinja", "before", off=OFF, added=TOOLS),
    "qwen3.5": think("Qwen3.5-4B.jinja", "thoughts", off=OFF, added=TOOLS),
    "glm": think("GLM-4.6.jinja", "before", "\n<think>Hm, 2 < 3.</think>\nIt is 3.", off=OFF, added=["<|assistant|>", "<|user|>", *TOOLS]),
    "smollm3": think("HuggingFaceTB-SmolLM3-3B.jinja", "before", off=OFF),
    "nemotron": think(f"{STRIPPED}{CHATML}{ending(EMPTY_PAIR)}", "before", off=OFF),
    "deepseek-v3.1": think("deepseek-ai-DeepSeek-V3.1.jinja", "thoughts", on=(("thinking", True),), off=(), added=DEEPSEEK),
    "kimi-k2-thinking": think(
        TEMPLATES["moonshotai-Kimi-K2.jinja"]
        + "{% if add_generation_prompt and thinking is defined and not thinking %}{{ '<think></think>' }}{% endif %}",
        "before",
        off=(("thinking", False),),
        added=["<|im_system|>", "<|im_user|>", "<|im_assistant|>", "<|im_middle|>", *KIMI_CALLS],
    ),
    "granite-3.3": Family(
        "ibm-granite-granite-3.3-2B-Instruct.jinja", (), ANSWER_TAGS.format("response"), "Hm.", "It is 3,\nor 4.", "before",
        (("thinking", True),), None, ("<|start_of_role|>", "<|end_of_role|>"),
    ),
    "granite-3.2": Family(
        "{% if thinking %}{{ \"<|im_start|>system\nWrite thoughts after 'Here is my thought process:' and the answer after 'Here is my "
        "response:'<|im_end|>\n\" }}{% endif %}" + CHATML + ending(""),
        (), "Here is my thought process:\n\nHm: 2 < 3.\n\nHere is my response:\n\nIt is: 3.", "Hm: 2 < 3.", "It is: 3.", "before",
        (("thinking", True),), (),
    ),
    "gpt-oss": Family(
        "openai-gpt-oss-120b.jinja", tuple(CHANNELS),
        "<|channel|>analysis<|message|>Hm, 2 < 3.<|end|><|start|>assistant<|channel|>final<|message|>It is 3.", "Hm, 2 < 3.", "It is 3.",
        "before",
    ),
    "mistral": Family(
        "mistralai-Ministral-3-14B-Reasoning-2512.jinja", ("[THINK]", "[/THINK]"), "[THINK]Hm, 2 < 3.[/THINK]It is 3.", "Hm, 2 < 3.",
        "It is 3.", "before", added=("[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CALLS]", "[ARGS]"),
    ),
    "seed-oss": Family(
        CHATML + "{% if thinking_budget is defined and thinking_budget >= 0 %}{{ '<|im_start|>system\nBudget: ' ~ thinking_budget "
        "~ '<|im_end|>' }}{% endif %}" + ending("{% if thinking_budget is defined and thinking_budget == 0 %}"
        "{{ '<seed:think></seed:think>' }}{% endif %}"),
        ("<seed:think>", "</seed:think>"), "<seed:think>\nHm, 2 < 3.\n</seed:think>It is 3.", "Hm, 2 < 3.", "It is 3.", "before",
        off=(("thinking_budget", 0),),
    ),
    "hunyuan": Family(
        CHATML + ending("{# <answer> #}" + EMPTY_PAIR), (), ANSWER_TAGS.format("answer"), "Hm.", "It is 3,\nor 4.", "before", off=OFF,
    ),
    "ernie": Family(
        CHATML + ending("{# <response> #}{{ '<think>\n' }}"), ("<think>", "</think>", "<response>", "</response>"),
        ANSWER_TAGS.format("response").removeprefix("<think>\n"), "Hm.", "It is 3,\nor 4.", "thoughts",
    ),
    "minimax-m2": Family(
        "{% for m in messages %}{{ ']~b]' + m.role + '\n' + m.content + '[e~[\n' }}{% endfor %}" + STRIPPED
        + "{% if add_generation_prompt %}{{ ']~b]ai\n' }}{% endif %}",
        tuple(THINK), "Hm, 2 < 3.\n</think>\n\nIt is 3.", "Hm, 2 < 3.", "It is 3.", "thoughts", added=("]~b]", "[e~["),
    ),
    "minimax-m3": Family(
        CHATML + ending("{# <mm:think> #}"), ("<mm:think>", "</mm:think>"), "<mm:think>Hm, 2 < 3.</mm:think>It is 3.", "Hm, 2 < 3.",
        "It is 3.", "before",
    ),
}  # fmt: skip


@cache
def directory(name: str) -> Path:
    family, folder = FAMILIES[name], save("chatml", Path(mkdtemp()) / name)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens(list(family.added))
    tokenizer.add_tokens(list(family.tokens)) if name != "gpt-oss" else tokenizer.add_special_tokens(list(family.tokens))
    tokenizer.save(str(folder / "tokenizer.json"))
    source = TEMPLATES.get(family.template, family.template)
    (folder / "chat_template.jinja").write_text(source)
    return folder


@cache
def tokenizer(name: str) -> ChatTokenizer:
    return load_tokenizer(directory(name))
