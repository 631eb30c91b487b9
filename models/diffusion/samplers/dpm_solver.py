"""DPM-Solver++, multistep."""

from math import log, sqrt

import numpy as np

from models.diffusion.noise_levels import karras_sigmas, time_of, trained_sigmas, visited
from models.diffusion.steps import Step, clean_weights
from models.spec.diffusion import DpmSolver, Prediction

FEW = 15  # steps, below which DPM-Solver++ takes the last one carefully


def dpm_solver_steps(sampler: DpmSolver, count: int, begin: int) -> tuple[Step, ...]:
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
    clean_x, clean_out = clean_weights(predicts, signal, sigma * signal)
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
