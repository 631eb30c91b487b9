"""Pseudo linear multistep."""

from dataclasses import replace
from math import sqrt

from models.diffusion.noise_levels import signal_variances, whole_times
from models.diffusion.steps import Step, clean_weights, noise_weights
from models.spec.diffusion import Plms, Prediction


def plms_steps(sampler: Plms, count: int, begin: int) -> tuple[Step, ...]:
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
    noise_x, noise_out = noise_weights(predicts, sqrt(now), sqrt(1 - now))
    return sqrt(after / now) + of_noise * noise_x, of_noise * noise_out


def _at(predicts: Prediction, time: int, share: float) -> Step:
    signal, level = sqrt(share), sqrt(1 - share)
    clean_x, clean_out = clean_weights(predicts, signal, level)
    return Step(time=time, clean_x=clean_x, clean_out=clean_out, x=0.0, clean=0.0, signal=signal, level=level)
