"""Counting the tokens of a request for its `usage`."""

from dataclasses import dataclass, field

from engine.api import Usage
from server.http import fields


@dataclass
class UsageCounter:
    """Counts a request's tokens over all its sequences, `each` prompt once."""

    each: int  # sequences per prompt
    prompt: int = 0
    completion: int = 0
    cached: int = 0
    thought: int = 0
    _prompts: set[int] = field(default_factory=set[int])

    def add(self, index: int, usage: Usage, thought: int) -> None:
        self.completion += usage.completion
        self.thought += thought
        if (prompt := index // self.each) not in self._prompts:
            self._prompts.add(prompt)
            self.prompt += usage.prompt
            self.cached += usage.cached

    def usage(self) -> fields.Usage:
        return fields.Usage(
            prompt_tokens=self.prompt,
            completion_tokens=self.completion,
            total_tokens=self.prompt + self.completion,
            prompt_tokens_details=fields.PromptDetails(cached_tokens=self.cached, text_tokens=self.prompt),
            completion_tokens_details=fields.CompletionDetails(reasoning_tokens=self.thought, text_tokens=self.completion),
        )
