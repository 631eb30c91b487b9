"""Counting the tokens of a request for its `usage`."""

from dataclasses import dataclass, field

from engine.api import Usage
from server.api.common import types as wire


@dataclass
class UsageCounter:
    """Counts a request's tokens over all its sequences, `each` prompt once."""

    sequences_per_prompt: int  # sequences per prompt
    audio: int = 0  # tokens of a prompt that were said in recordings
    images: int = 0  # tokens of a prompt that stand for rows of images
    prompt: int = 0
    completion: int = 0
    cached: int = 0
    reasoning: int = 0
    _prompts: set[int] = field(default_factory=set[int])

    def add(self, index: int, usage: Usage, reasoning: int) -> None:
        """A finished sequence."""
        self.completion += usage.completion
        self.reasoning += reasoning
        self.begin(index, usage)

    def add_tokens(self, count: int) -> None:
        """Of a sequence that goes on."""
        self.completion += count

    def begin(self, index: int, usage: Usage) -> None:
        """Counts the prompt of a sequence, unless another one with it has been counted."""
        if (prompt := index // self.sequences_per_prompt) not in self._prompts:
            self._prompts.add(prompt)
            self.prompt += usage.prompt
            self.cached += usage.cached

    def usage(self) -> wire.Usage:
        return wire.Usage(
            prompt_tokens=self.prompt,
            completion_tokens=self.completion,
            total_tokens=self.prompt + self.completion,
            prompt_tokens_details=self._prompt_details(),
            completion_tokens_details=wire.CompletionDetails(reasoning_tokens=self.reasoning, text_tokens=self.completion),
        )

    def _prompt_details(self) -> wire.PromptDetails:
        audio = min(self.audio * len(self._prompts), self.prompt)
        images = min(self.images * len(self._prompts), self.prompt - audio)
        text = self.prompt - audio - images
        return wire.PromptDetails(cached_tokens=self.cached, text_tokens=text, image_tokens=images, audio_tokens=audio)
