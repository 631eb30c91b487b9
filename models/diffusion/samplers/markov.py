"""DDPM and DDIM: from one trained time to another, with noise and without."""

from itertools import pairwise
from math import inf, sqrt

from models.diffusion.noise_levels import signal_variances, whole_times
from models.diffusion.steps import Step, clean_weights, noise_weights
from models.spec.diffusion import Ddim, Ddpm


def ddpm_steps(sampler: Ddpm, count: int) -> tuple[Step, ...]:
    abar, times = signal_variances(sampler.betas), whole_times(sampler.spacing, sampler.betas.times, count)
    return tuple(
        _posterior(sampler, int(t), float(abar[t]), float(abar[after]) if after >= 0 else 1.0) for t, after in pairwise([*times, -1])
    )


def _posterior(sampler: Ddpm, time: int, now: float, after: float) -> Step:
    """arXiv 2006.11239, equations 6 and 7. now, after: shares of signal."""
    signal, level = sqrt(now), sqrt(1 - now)
    alpha, rest = now / after, (1 - after) / (1 - now)
    clean_x, clean_out = clean_weights(sampler.predicts, signal, level)
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


def ddim_steps(sampler: Ddim, count: int) -> tuple[Step, ...]:
    abar, last = signal_variances(sampler.betas), sampler.last
    stride = sampler.betas.times // count
    steps: list[Step] = []
    for t in whole_times(sampler.spacing, sampler.betas.times, count):
        after = float(abar[t - stride]) if t >= stride else 1.0 if last == "zero" else float(abar[0])
        signal, level = sqrt(float(abar[t])), sqrt(1 - float(abar[t]))
        clean_x, clean_out = clean_weights(sampler.predicts, signal, level)
        noise_x, noise_out = noise_weights(sampler.predicts, signal, level)
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
