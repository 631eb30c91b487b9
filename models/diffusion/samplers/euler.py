"""Euler's method between sigmas, with noise on the way and without."""

from math import sqrt

import numpy as np

from models.diffusion.noise_levels import Numbers, karras_sigmas, time_of, trained_sigmas, visited
from models.diffusion.steps import Schedule, Step, clean_weights
from models.spec.diffusion import Euler, EulerAncestral, Prediction, Spacing


def euler_schedule(sampler: Euler, count: int, begin: int) -> Schedule:
    trained, times = trained_sigmas(sampler.betas), visited(sampler.spacing, sampler.betas.times, count)
    sigmas = np.interp(times, np.arange(len(trained)), trained)
    if sampler.karras:
        sigmas = karras_sigmas(float(sigmas[0]), float(sigmas[-1]), len(sigmas))
        times = time_of(sigmas, trained)
    ends = [*sigmas[1:], 0.0 if sampler.last == "zero" else trained[0]]
    steps = [_towards(sampler.predicts, *map(float, step)) for step in zip(times, sigmas, ends, ends, strict=True)]
    return Schedule(tuple(steps[begin:]), _start(sampler.spacing, sigmas))


def ancestral_schedule(sampler: EulerAncestral, count: int, begin: int) -> Schedule:
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
    of_x, clean_out = clean_weights(predicts, scale, sigma * scale)
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
