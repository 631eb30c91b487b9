"""What a request says of the model's thoughts: variables for the chat template, a limit for the engine, warnings where neither helps."""

from functools import partial

from engine.api import ThoughtBudget
from server.core.errors import bad_request
from server.core.request import GenerationRequest, RequestWarning
from server.text.encoder_decoder.languages import SOURCE, TARGET
from server.text.prompt import Prompt
from server.text.reasoning.api import Thoughts
from server.text.reasoning.effort import BUDGET, ThoughtPlan, UnknownEffort
from server.text.tokenizer import ChatTokenizer

TASTES = frozenset({"enable_thinking", "thinking", "thinking_budget", "reasoning_effort", "preserve_thinking", "clear_thinking"})
RESERVED_VARIABLES = frozenset({"messages", "tools", "documents", "add_generation_prompt"})  # of templates, not set by requests


def plan_thoughts(request: GenerationRequest, tokenizer: ChatTokenizer) -> ThoughtPlan:
    """With all variables of the chat template. Raises ApiError."""
    known = _known_variables(tokenizer)
    given = {name: value for name, value in request.template_kwargs.items() if name in known or name not in TASTES or name == BUDGET}
    if unknown := sorted(given.keys() - known - {BUDGET}):
        name = f"chat_template_kwargs.{unknown[0]}"
        raise bad_request(name, f"{name}: this model's chat template does not know it")
    budget = None if request.thinking_budget == -1 else request.thinking_budget
    try:
        return tokenizer.thought_controls.plan(request.reasoning_effort, budget, given)
    except UnknownEffort as error:
        name = f"chat_template_kwargs.{error.variable}"
        raise bad_request(name, f"{name}: {error}") from error


def engine_budget(tokenizer: ChatTokenizer, prompt: Prompt, plan: ThoughtPlan, *, calls: bool) -> ThoughtBudget | None:
    """`calls`: the turn may have tool calls."""
    thoughts = tokenizer.thoughts(prompt)
    if plan.budget is None or thoughts is None or thoughts.place == "answer":
        return None
    return ThoughtBudget(
        tokens=plan.budget,
        end=tokenizer.encode(thoughts.format.end(calls=calls), parse_special=True),
        reopening=tuple(_reopening(tokenizer, thoughts)),
        watch=partial(tokenizer.thought_reader, thoughts),
    )


def _reopening(tokenizer: ChatTokenizer, thoughts: Thoughts) -> list[tuple[int, ...]]:
    """Only what begins with a token: elsewhere the same words may be a part of the answer."""
    texts = (tokenizer.encode(text, parse_special=True) for text in thoughts.format.reopening)
    return [tokens for tokens in texts if tokens[0] in tokenizer.thought_tokens]


def thought_warnings(request: GenerationRequest, tokenizer: ChatTokenizer) -> tuple[RequestWarning, ...]:
    """Of fields that make no difference to this model's thoughts. Raises ApiError."""
    fields, names, plan = request.field_names, list[str](), plan_thoughts(request, tokenizer)
    thinks = tokenizer.reasoning is not None
    known = _known_variables(tokenizer) | ({BUDGET} if thinks else set[str]())
    names += [f"chat_template_kwargs.{name}" for name in request.template_kwargs if name in TASTES - known]
    if request.thinking_budget is not None and not thinks:
        names.append(fields.thinking_budget)
    if not plan.heeded:
        names.append(fields.reasoning_effort)
    reason = "always thinks" if thinks else "does not think before it answers"
    return tuple(RequestWarning(param=name, message=f"{name} has no effect: this model {reason}") for name in names)


def _known_variables(tokenizer: ChatTokenizer) -> frozenset[str]:
    languages = frozenset((SOURCE, TARGET) if tokenizer.encoder_decoder else ())
    return ((tokenizer.template.variables if tokenizer.template else frozenset[str]()) - RESERVED_VARIABLES) | languages
