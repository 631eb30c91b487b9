"""Euler's method on the straight way from noise to picture."""

from itertools import pairwise

import numpy as np

from models.diffusion.noise_levels import Numbers
from models.diffusion.steps import Step
from models.spec.diffusion import FlowMatching


def flow_steps(sampler: FlowMatching, count: int) -> tuple[Step, ...]:
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
