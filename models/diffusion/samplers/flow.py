"""Euler's method on the straight way from noise to picture."""

import math
from itertools import pairwise

import numpy as np

from models.diffusion.noise_levels import Numbers
from models.diffusion.steps import Step
from models.spec.diffusion import DynamicShift, FlowMatching


def flow_steps(sampler: FlowMatching, count: int, patches: int | None) -> tuple[Step, ...]:
    """`patches`: of the picture, for a DynamicShift."""
    shift = _shift(sampler.shift, patches)
    sigmas = _shifted(np.linspace(1.0, _last(sampler, count), count), shift)
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


def _last(sampler: FlowMatching, count: int) -> float:
    """Before it is shifted. A shift that is the same for all pictures has been made of the smallest sigma of training, too, as in SD3's own
    code."""
    if sampler.last == "even":
        return 1 / count
    smallest = 1 / sampler.times
    return smallest if isinstance(sampler.shift, DynamicShift) else float(_shifted(np.array(smallest), sampler.shift))


def _shift(shift: float | DynamicShift, patches: int | None) -> float:
    if not isinstance(shift, DynamicShift):
        return shift
    if patches is None:
        raise ValueError("the steps of a sampler whose shift grows with the picture depend on how many patches it has")
    slope = (shift.large - shift.small) / (shift.many - shift.few)
    mu = shift.small + slope * (patches - shift.few)
    return math.exp(mu) if shift.exponential else mu


def _shifted(sigma: Numbers, shift: float) -> Numbers:
    return shift * sigma / (1 + (shift - 1) * sigma)
