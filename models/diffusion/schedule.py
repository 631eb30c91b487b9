"""A sampler's steps as numbers. Whatever its method, the next picture is a weighted sum: of the picture so far, of what the model says, of
the clean picture that this means, of the clean picture of the step before, and of fresh noise. So pictures at different steps, even of
different samplers, are advanced together (models/diffusion/advance.py)."""

from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf, log, sqrt

import numpy as np

from models.diffusion.noise_levels import Numbers, karras_sigmas, signal_variances, time_of, trained_sigmas, visited, whole_times
from models.spec.diffusion import Ddim, Ddpm, DpmSolver, Euler, EulerAncestral, FlowMatching, Plms, Prediction, Sampler, Spacing

PAST = 3  # steps before, whose words a step may read
FEW = 15  # steps, below which DPM-Solver++ takes the last one carefully


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The model is told `time` and reads `scale` * x. The rest are weights: with clean = `clean_x` * x + `clean_out` * out, clamped to
    -clip..clip, the next picture is `x` * x + `out` * out + `clean` * clean + `before` * (clean of the step before) + `noise` * noise."""

    time: float
    scale: float = 1.0
    clean_x: float
    clean_out: float
    clip: float = inf
    x: float
    out: float = 0.0
    clean: float
    before: float = 0.0
    noise: float = 0.0
    past: tuple[float, float, float] = (0.0, 0.0, 0.0)  # of what the model said in steps before, the latest first
    remembers: bool = False  # what it says in this one is among those from now on
    # a picture as it stands before this step, where it is made of another one: signal * picture + level * noise
    signal: float
    level: float


@dataclass(frozen=True, slots=True)
class Schedule:
    steps: tuple[Step, ...]
    start: float  # times noise: what the first step begins with, where nothing else is given


def schedule(sampler: Sampler, steps: int, begin: int = 0) -> Schedule:
    """Of `steps` steps those from number `begin` on. Raises ValueError where there cannot be so many."""
    most = most_steps(sampler)
    if not 1 <= steps <= most:
        raise ValueError(f"steps must be between 1 and {most}, not {steps}")
    if not 0 <= begin < steps:
        raise ValueError(f"begin must be between 0 and {steps - 1}, not {begin}")
    match sampler:
        case Ddpm():
            return Schedule(_ddpm(sampler, steps)[begin:], 1.0)
        case Ddim():
            return Schedule(_ddim(sampler, steps)[begin:], 1.0)
        case Euler():
            return _euler(sampler, steps, begin)
        case EulerAncestral():
            return _ancestral(sampler, steps, begin)
        case DpmSolver():
            return Schedule(_dpm_solver(sampler, steps, begin), 1.0)
        case Plms():
            return Schedule(_plms(sampler, steps, begin), 1.0)
        case FlowMatching():
            return Schedule(_flow(sampler, steps)[begin:], 1.0)


def most_steps(sampler: Sampler) -> int:
    match sampler:
        case FlowMatching(times=times):
            return times
        case DpmSolver(betas=betas):
            return betas.times - 1
        case other:
            return other.betas.times


def img2img_begin(steps: int, strength: float) -> int:
    """The number of the step at which a picture comes in that is to be changed by `strength`, above 0 and at most 1."""
    if not 0 < strength <= 1 or int(steps * strength) == 0:
        raise ValueError(f"strength must be above 0 and at most 1, and leave one of {steps} steps at least, not {strength}")
    return steps - int(steps * strength)


def _clean(predicts: Prediction, signal: float, level: float) -> tuple[float, float]:
    """Weights of x and of what the model says in the clean picture, where x is signal * clean + level * noise and signal² + level² is 1."""
    match predicts:
        case "noise":
            return 1 / signal, -level / signal
        case "clean":
            return 0.0, 1.0
        case "velocity":  # Salimans & Ho 2022, arXiv 2202.00512
            return signal, -level


def _noise(predicts: Prediction, signal: float, level: float) -> tuple[float, float]:
    """The same of the noise in x."""
    match predicts:
        case "noise":
            return 0.0, 1.0
        case "clean":
            return 1 / level, -signal / level
        case "velocity":
            return level, signal


def _ddpm(sampler: Ddpm, count: int) -> tuple[Step, ...]:
    abar, times = signal_variances(sampler.betas), whole_times(sampler.spacing, sampler.betas.times, count)
    return tuple(
        _posterior(sampler, int(t), float(abar[t]), float(abar[after]) if after >= 0 else 1.0) for t, after in pairwise([*times, -1])
    )


def _posterior(sampler: Ddpm, time: int, now: float, after: float) -> Step:
    """arXiv 2006.11239, equations 6 and 7. now, after: shares of signal."""
    signal, level = sqrt(now), sqrt(1 - now)
    alpha, rest = now / after, (1 - after) / (1 - now)
    clean_x, clean_out = _clean(sampler.predicts, signal, level)
    variance = (1 - alpha) * (rest if sampler.variance == "small" else 1.0)
    return Step(
        time=time,
        clean_x=clean_x,
        clean_out=clean_out,
        clip=inf if sampler.clip is None else sampler.clip,
        x=sqrt(alpha) * rest,
        clean=sqrt(after) * (1 - alpha) / (1 - now),
        noise=sqrt(variance) if time > 0 else 0.0,
        signal=signal,
        level=level,
    )


def _ddim(sampler: Ddim, count: int) -> tuple[Step, ...]:
    abar, last = signal_variances(sampler.betas), sampler.last
    stride = sampler.betas.times // count
    steps: list[Step] = []
    for t in whole_times(sampler.spacing, sampler.betas.times, count):
        after = float(abar[t - stride]) if t >= stride else 1.0 if last == "zero" else float(abar[0])
        signal, level = sqrt(float(abar[t])), sqrt(1 - float(abar[t]))
        clean_x, clean_out = _clean(sampler.predicts, signal, level)
        noise_x, noise_out = _noise(sampler.predicts, signal, level)
        again = sqrt(1 - after)
        steps.append(
            Step(
                time=int(t),
                clean_x=clean_x,
                clean_out=clean_out,
                clip=inf if sampler.clip is None else sampler.clip,
                x=again * noise_x,
                out=again * noise_out,
                clean=sqrt(after),
                signal=signal,
                level=level,
            )
        )
    return tuple(steps)


def _euler(sampler: Euler, count: int, begin: int) -> Schedule:
    trained, times = trained_sigmas(sampler.betas), visited(sampler.spacing, sampler.betas.times, count)
    sigmas = np.interp(times, np.arange(len(trained)), trained)
    if sampler.karras:
        sigmas = karras_sigmas(float(sigmas[0]), float(sigmas[-1]), len(sigmas))
        times = time_of(sigmas, trained)
    ends = [*sigmas[1:], 0.0 if sampler.last == "zero" else trained[0]]
    steps = [_towards(sampler.predicts, *map(float, step)) for step in zip(times, sigmas, ends, ends, strict=True)]
    return Schedule(tuple(steps[begin:]), _start(sampler.spacing, sigmas))


def _ancestral(sampler: EulerAncestral, count: int, begin: int) -> Schedule:
    trained, times = trained_sigmas(sampler.betas), visited(sampler.spacing, sampler.betas.times, count)
    sigmas = np.interp(times, np.arange(len(trained)), trained)
    ends = np.array([*sigmas[1:], 0.0])
    downs = ends**2 / sigmas
    steps = [_towards(sampler.predicts, *map(float, step)) for step in zip(times, sigmas, downs, ends, strict=True)]
    return Schedule(tuple(steps[begin:]), _start(sampler.spacing, sigmas))


def _start(spacing: Spacing, sigmas: Numbers) -> float:
    largest = float(sigmas.max())
    return sqrt(largest**2 + 1) if spacing.kind == "leading" else largest


def _towards(predicts: Prediction, time: float, sigma: float, down: float, end: float) -> Step:
    """To sigma `down` without noise, and with it back to `end`."""
    scale = 1 / sqrt(sigma**2 + 1)
    of_x, clean_out = _clean(predicts, scale, sigma * scale)
    ratio = down / sigma
    return Step(
        time=time,
        scale=scale,
        clean_x=of_x * scale,
        clean_out=clean_out,
        x=ratio,
        clean=1 - ratio,
        noise=sqrt(max(end**2 - down**2, 0.0)),
        signal=1.0,
        level=sigma,
    )


def _dpm_solver(sampler: DpmSolver, count: int, begin: int) -> tuple[Step, ...]:
    trained, spacing = trained_sigmas(sampler.betas), sampler.spacing
    if sampler.karras:
        sigmas = karras_sigmas(float(trained[-1]), float(trained[0]), count)
        times = time_of(sigmas, trained)
        times = times if sampler.betas.curve == "cosine" else times.round()
    else:  # one time more than there are steps, unless they are counted from the last one
        times = visited(spacing, sampler.betas.times, count if spacing.kind == "trailing" else count + 1)[:count].round()
        sigmas = np.interp(times, np.arange(len(trained)), trained)
    path = [*map(float, sigmas), 0.0 if sampler.last == "zero" else float(trained[0])]
    few = sampler.final == "first" or (sampler.final == "first_of_few" and len(times) < FEW) or sampler.last == "zero"
    first = {begin, *([len(times) - 1] if few else [])}
    orders = [1 if i in first else sampler.order for i in range(len(times))]
    return tuple(_solve(sampler.predicts, int(times[i]), path, i, orders[i]) for i in range(begin, len(times)))


def _solve(predicts: Prediction, time: int, path: list[float], i: int, order: int) -> Step:
    """arXiv 2211.01095, equations 6 and 8, with exp(-h) as the ratio of the sigmas."""
    sigma, end = path[i], path[i + 1]
    signal, after = 1 / sqrt(sigma**2 + 1), 1 / sqrt(end**2 + 1)
    clean_x, clean_out = _clean(predicts, signal, sigma * signal)
    change, beyond = after * (1 - end / sigma), 0.0
    if order == 2:  # half of how much longer this step is than the one before
        beyond = log(sigma / end) / log(path[i - 1] / sigma) / 2
    return Step(
        time=time,
        clean_x=clean_x,
        clean_out=clean_out,
        x=end * after / (sigma * signal),
        clean=change * (1 + beyond),
        before=-change * beyond,
        signal=signal,
        level=sigma * signal,
    )


def _plms(sampler: Plms, count: int, begin: int) -> tuple[Step, ...]:
    """The second time is visited twice: what the model says there corrects the first step (arXiv 2202.09778, appendix; Crowson)."""
    abar, stride = signal_variances(sampler.betas), sampler.betas.times // count
    times = whole_times(sampler.spacing, sampler.betas.times, count).tolist()
    steps = list[Step]()
    first = 1.0, 0.0  # weights of x and of what is said in the first step
    for i, t in enumerate([*times[:2], *times[1:]][begin:]):
        start, end = (t + stride, t) if i == 1 else (t, t - stride)
        after = float(abar[end]) if end >= 0 else 1.0 if sampler.last == "zero" else float(abar[0])
        of_x, of_out = _transfer(sampler.predicts, float(abar[start]), after)
        out, past = _MULTISTEP[min(i, 4)]
        step = _at(sampler.predicts, t, float(abar[t]))
        if i == 0:
            first = of_x, of_out
        if i == 1:  # from where the first step began
            of_x, past = of_x / first[0], (0.5 - of_x / first[0] * first[1] / of_out, 0.0, 0.0)
        weights = past[0] * of_out, past[1] * of_out, past[2] * of_out
        steps.append(replace(step, x=of_x, out=out * of_out, past=weights, remembers=i != 1))
    return tuple(steps)


# of what the model says now, and said before: Adams and Bashforth's, with as many as there are
_MULTISTEP: tuple[tuple[float, tuple[float, float, float]], ...] = (
    (1.0, (0.0, 0.0, 0.0)),
    (0.5, (0.5, 0.0, 0.0)),
    (3 / 2, (-1 / 2, 0.0, 0.0)),
    (23 / 12, (-16 / 12, 5 / 12, 0.0)),
    (55 / 24, (-59 / 24, 37 / 24, -9 / 24)),
)


def _transfer(predicts: Prediction, now: float, after: float) -> tuple[float, float]:
    """Weights of x and of what the model says (arXiv 2202.09778, equation 9). now, after: shares of signal."""
    of_noise = -(after - now) / (now * sqrt(1 - after) + sqrt(now * (1 - now) * after))
    noise_x, noise_out = _noise(predicts, sqrt(now), sqrt(1 - now))
    return sqrt(after / now) + of_noise * noise_x, of_noise * noise_out


def _at(predicts: Prediction, time: int, share: float) -> Step:
    signal, level = sqrt(share), sqrt(1 - share)
    clean_x, clean_out = _clean(predicts, signal, level)
    return Step(time=time, clean_x=clean_x, clean_out=clean_out, x=0.0, clean=0.0, signal=signal, level=level)


def _flow(sampler: FlowMatching, count: int) -> tuple[Step, ...]:
    """The smallest sigma of training has been shifted before it is shifted with the others, as in SD3's own code."""
    sigmas = _shifted(np.linspace(1.0, _shifted(np.array(1 / sampler.times), sampler.shift), count), sampler.shift)
    return tuple(
        Step(
            time=sigma * sampler.times,
            clean_x=1.0,
            clean_out=-sigma,
            x=1.0,
            out=end - sigma,
            clean=0.0,
            signal=1 - sigma,
            level=sigma,
        )
        for sigma, end in pairwise([*map(float, sigmas), 0.0])
    )


def _shifted(sigma: Numbers, shift: float) -> Numbers:
    return shift * sigma / (1 + (shift - 1) * sigma)
