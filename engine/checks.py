"""What every engine of this process refuses before it computes anything."""

from collections.abc import Sequence

from engine.api import (
    DenoiserInfo,
    EngineError,
    Frames,
    ImageTiles,
    ModelInfo,
    PromptTooLong,
    ReaderInfo,
    ReadsFrames,
    ReadsTokens,
    Request,
    Sampling,
    Unsupported,
    VisionInfo,
)


def expect_possible(request: Request, info: ModelInfo) -> None:
    """Raises EngineError."""
    length, sampling = len(request.tokens), request.sampling
    if not length:
        raise EngineError("the prompt has no tokens")
    _expect_input(request.encoder, info.reader)
    _expect_images(request, info.vision)
    if length + min(1, sampling.max_tokens) > info.context:
        raise PromptTooLong(f"the prompt has {length} tokens; with at least one for the answer, {info.context} fit")
    if sampling.max_tokens < 0:
        raise EngineError(f"max_tokens = {sampling.max_tokens} must not be negative")
    _expect_tokens(request, info)
    _expect_forced(request)
    _expect_beams(request)
    _expect_denoising(request, info.denoiser)


def _expect_tokens(request: Request, info: ModelInfo) -> None:
    sampling, vocab = request.sampling, info.vocab
    marker = info.vision.marker if info.vision is not None and info.vision.cross is not None else None  # may be none that is ever written
    thoughts = () if request.thoughts is None else (request.thoughts.end, *request.thoughts.reopening)
    if not all((*sampling.bad_words, *thoughts)):
        raise EngineError("bad_words: a sequence has no tokens" if all(thoughts) else "thoughts: a sequence has no tokens")
    forced = [token for token in (sampling.forced_first, sampling.forced_last) if token is not None]
    times = sampling.timestamps
    forced += [] if times is None else [times.first, times.end, *([] if times.never is None else [times.never])]
    named = {token for token, _ in sampling.logit_bias}.union(*sampling.bad_words, *thoughts, sampling.not_first, sampling.scored, forced)
    read = request.tokens if marker is None else tuple(token for token in request.tokens if token != marker)
    ends = (min(read), max(read)) if read else ()
    if bad := [token for token in (*ends, *named) if not 0 <= token < vocab]:
        raise EngineError(f"token {bad[0]} is not in the vocabulary (0 to {vocab - 1})")


def _expect_input(read: tuple[int, ...] | Frames, reader: ReaderInfo | None) -> None:
    """Of `Request.encoder`."""
    if reader is None:
        if read:
            raise Unsupported("encoder: this model reads no input before its prompt: leave it out")
        return
    match reader.reads, read:
        case ReadsFrames(frames=frames, bins=bins), Frames(rows=rows):
            if rows.shape != (frames, bins):
                raise EngineError(f"encoder: the input is {list(rows.shape)}; this model reads [{frames}, {bins}]")
        case ReadsTokens(vocab=vocab), tuple():
            _expect_read(read, vocab, reader.context)
        case ReadsFrames(), _:
            raise EngineError("encoder: this model reads frames, not tokens")
        case _:
            raise EngineError("encoder: this model reads tokens, not frames")


def _expect_read(read: tuple[int, ...], vocab: int, most: int) -> None:
    if not read:
        raise EngineError("encoder: the input has no tokens, and this model answers what its encoder has read")
    if len(read) > most:
        raise PromptTooLong(f"encoder: the input has {len(read)} tokens; {most} fit")
    if bad := [token for token in (min(read), max(read)) if not 0 <= token < vocab]:
        raise EngineError(f"encoder: token {bad[0]} is not in the vocabulary (0 to {vocab - 1})")


def _expect_images(request: Request, vision: VisionInfo | None) -> None:
    if vision is None:
        if request.images:
            raise Unsupported("images: this model reads texts alone: leave them out")
        return
    end = 0
    for placed in request.images:
        _expect_tiles(placed.image, vision)
        if placed.rows != (rows := vision.rows_of(placed.image)):
            raise EngineError(f"images: an image has {placed.rows} places, but {rows} rows are made of it")
        if placed.at < end or placed.at + rows > len(request.tokens):
            raise EngineError(f"images: the image at token {placed.at} overlaps another one, or the prompt's end")
        end = placed.at + rows
    shown, marked = sum(placed.rows for placed in request.images), request.tokens.count(vision.marker)
    if (cross := vision.cross) is not None:
        if (rows := cross.rows * len(request.images)) > cross.most:
            raise PromptTooLong(f"images: {rows} rows are made of them; {cross.most} fit")
        if request.images and request.sampling.prompt_logprobs is not None:
            raise Unsupported("prompt_logprobs: the token of an image is never written, and has none: leave it out")
    if marked != shown:
        raise EngineError(f"token {vision.marker} stands for a row of an image: the prompt has {marked} of them, its images {shown}")


def _expect_tiles(image: ImageTiles, vision: VisionInfo) -> None:
    _, channels, height, width = image.values.shape
    unit = vision.patch * vision.merge
    fits = all(side and (not side % unit if vision.side is None else side == vision.side) for side in (height, width))
    if channels != vision.channels or not fits:
        wanted = f"multiples of {unit}" if vision.side is None else str(vision.side)
        read = f"this model reads {vision.channels} channels, and sides of {wanted}"
        raise EngineError(f"images: a tile is {list(image.values.shape[1:])}; {read}")
    if vision.cross is not None and (image.grid not in vision.cross.arrangements or len(image.values) != image.grid[0] * image.grid[1]):
        raise EngineError(f"images: {len(image.values)} tiles in a grid of {image.grid} are none of {vision.cross.arrangements}")
    if (rows := vision.rows_of(image)) > vision.rows:
        raise EngineError(f"images: {rows} rows are made of an image; {vision.rows} fit")


def expect_heads(heads: Sequence[tuple[int, int]], reader: ReaderInfo | None) -> None:
    """(layer, head), of those that look at an input. Raises EngineError."""
    if reader is None or not any(reader.heads):
        raise Unsupported("align: this model reads no input that it could look at")
    if not heads:
        raise EngineError("align: no head is asked")
    for layer, head in heads:
        if not (0 <= layer < len(reader.heads) and 0 <= head < reader.heads[layer]):
            raise EngineError(f"align: there is no head {head} in layer {layer} that looks at the input")


def expect_inspectable(tokens: Sequence[int], most: int, info: ModelInfo) -> None:
    """Raises EngineError."""
    if not 0 < len(tokens) <= most:
        raise EngineError(f"tokens: {len(tokens)}; between 1 and {most} can be inspected")
    if wrong := [token for token in tokens if not 0 <= token < info.vocab]:
        raise EngineError(f"tokens: there is no token {wrong[0]}; the vocabulary has {info.vocab}")


def _expect_forced(request: Request) -> None:
    sampling = request.sampling
    if sampling.no_repeat < 0:
        raise EngineError(f"no_repeat = {sampling.no_repeat} must not be negative")
    if request.grammar is not None and (sampling.forced_first is not None or sampling.forced_last is not None):
        raise EngineError("forced_first and forced_last cannot be beside a grammar, which may forbid them")
    if request.grammar is not None and sampling.timestamps is not None:
        raise EngineError("timestamps cannot be beside a grammar, which may forbid them")


def _expect_beams(request: Request) -> None:
    beams, sampling = request.sampling.beams, request.sampling
    if beams is None:
        return
    if beams.width < 1:
        raise EngineError(f"beams: width = {beams.width} must be positive")
    if not sampling.max_tokens:
        raise EngineError("beams: max_tokens must be 1 at least")
    if clash := _clash(request, sampling):
        raise EngineError(f"beams: cannot be combined with {clash}: leave one of the two out")


def _clash(request: Request, sampling: Sampling) -> str | None:
    """What a beam search has no use for, or would have to do in another way."""
    given = {
        "a temperature other than 0": sampling.temperature != 0,
        "a grammar": request.grammar is not None,
        "a limit of thoughts": request.thoughts is not None,
        "logit_bias": bool(sampling.logit_bias),
        "presence_penalty": sampling.presence_penalty != 0,
        "frequency_penalty": sampling.frequency_penalty != 0,
        "repetition_penalty": sampling.repetition_penalty != 1,
        "timestamps": sampling.timestamps is not None,
        "logprobs": sampling.logprobs is not None,
        "prompt_logprobs": sampling.prompt_logprobs is not None,
    }
    return next((name for name, is_given in given.items() if is_given), None)


def _expect_denoising(request: Request, denoiser: DenoiserInfo | None) -> None:
    how = request.sampling.denoising
    if denoiser is None:
        if how is not None:
            raise Unsupported("denoising: this model continues texts, it does not denoise them: leave it out")
        return
    if clash := _undenoised(request):
        raise Unsupported(f"{clash}: this model finds tokens out of their order, and cannot heed it: leave it out")
    if how is None:
        return
    for name, value in (("block", how.block), ("steps", how.steps), ("canvas", how.canvas)):
        if value is not None and value < 1:
            raise EngineError(f"denoising: {name} = {value} must be positive")
    if denoiser.block is not None and how.block not in (None, denoiser.block):
        raise EngineError(f"denoising: block = {how.block}, but this model's blocks have {denoiser.block} tokens")
    if how.threshold is not None and not 0 <= how.threshold <= 1:
        raise EngineError(f"denoising: threshold = {how.threshold} must lie between 0 and 1")


def _undenoised(request: Request) -> str | None:
    """What depends on the tokens before, which are not known yet."""
    sampling = request.sampling
    given = {
        "a grammar": request.grammar is not None,
        "a limit of thoughts": request.thoughts is not None,
        "presence_penalty": sampling.presence_penalty != 0,
        "frequency_penalty": sampling.frequency_penalty != 0,
        "repetition_penalty": sampling.repetition_penalty != 1,
        "min_tokens": sampling.min_tokens > 0,
        "bad_words": bool(sampling.bad_words),
        "not_first": bool(sampling.not_first),
        "no_repeat": sampling.no_repeat > 0,
        "forced_first": sampling.forced_first is not None,
        "forced_last": sampling.forced_last is not None,
        "timestamps": sampling.timestamps is not None,
        "beams": sampling.beams is not None,
        "prompt_logprobs": sampling.prompt_logprobs is not None,
    }
    return next((name for name, is_given in given.items() if is_given), None)
