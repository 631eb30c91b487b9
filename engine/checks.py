"""What every engine of this process refuses before it computes anything."""

from engine.api import EngineError, ModelInfo, PromptTooLong, ReaderInfo, Request, Unsupported


def expect_possible(request: Request, info: ModelInfo) -> None:
    """Raises EngineError."""
    length, sampling = len(request.tokens), request.sampling
    if not length:
        raise EngineError("the prompt has no tokens")
    _expect_input(request.encoder, info.reader)
    if length + min(1, sampling.max_tokens) > info.context:
        raise PromptTooLong(f"the prompt has {length} tokens; with at least one for the answer, {info.context} fit")
    if sampling.max_tokens < 0:
        raise EngineError(f"max_tokens = {sampling.max_tokens} must not be negative")
    thoughts = () if request.thoughts is None else (request.thoughts.end, *request.thoughts.reopening)
    if not all((*sampling.bad_words, *thoughts)):
        raise EngineError("bad_words: a sequence has no tokens" if all(thoughts) else "thoughts: a sequence has no tokens")
    named = {token for token, _ in sampling.logit_bias}.union(*sampling.bad_words, *thoughts)
    if bad := [token for token in (min(request.tokens), max(request.tokens), *named) if not 0 <= token < info.vocab]:
        raise EngineError(f"token {bad[0]} is not in the vocabulary (0 to {info.vocab - 1})")


def _expect_input(read: tuple[int, ...], reader: ReaderInfo | None) -> None:
    """Of `Request.encoder`."""
    if reader is None:
        if read:
            raise Unsupported("encoder: this model reads no input before its prompt: leave it out")
        return
    if not read:
        raise EngineError("encoder: the input has no tokens, and this model answers what its encoder has read")
    if len(read) > reader.context:
        raise PromptTooLong(f"encoder: the input has {len(read)} tokens; {reader.context} fit")
    if bad := [token for token in (min(read), max(read)) if not 0 <= token < reader.vocab]:
        raise EngineError(f"encoder: token {bad[0]} is not in the vocabulary (0 to {reader.vocab - 1})")
