"""Marks of the form <think>...</think>: DeepSeek, Qwen, GLM, Kimi, Nemotron, MiMo, SmolLM, Granite, Step, Seed-OSS and MiniMax."""

from server.text.reasoning.tags import Tags

OPEN, CLOSE = "<think>", "</think>"
THINK = Tags(opens=(OPEN,), closes=(CLOSE,))
MINIMAX_M2 = Tags(opens=(OPEN,), closes=(CLOSE,), unmarked="thoughts")  # it writes the closing mark only
MINIMAX_M3 = Tags(opens=("<mm:think>",), closes=("</mm:think>",))
SEED = Tags(opens=("<seed:think>",), closes=("</seed:think>",), gap="")
