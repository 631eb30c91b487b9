"""The steps of a sampler (models/diffusion/steps.py)."""

from models.diffusion.samplers.dpm_solver import dpm_solver_steps
from models.diffusion.samplers.euler import ancestral_schedule, euler_schedule
from models.diffusion.samplers.flow import flow_steps
from models.diffusion.samplers.markov import ddim_steps, ddpm_steps
from models.diffusion.samplers.plms import plms_steps
from models.diffusion.steps import Schedule
from models.spec.diffusion import Ddim, Ddpm, DpmSolver, Euler, EulerAncestral, FlowMatching, Plms, Sampler


def schedule(sampler: Sampler, steps: int, begin: int = 0, patches: int | None = None) -> Schedule:
    """Of `steps` steps those from number `begin` on. `patches`: of the picture, where steps depend on it (DynamicShift). Raises ValueError
    where there cannot be so many."""
    most = most_steps(sampler)
    if not 1 <= steps <= most:
        raise ValueError(f"steps must be between 1 and {most}, not {steps}")
    if not 0 <= begin < steps:
        raise ValueError(f"begin must be between 0 and {steps - 1}, not {begin}")
    match sampler:
        case Ddpm():
            return Schedule(ddpm_steps(sampler, steps)[begin:], 1.0)
        case Ddim():
            return Schedule(ddim_steps(sampler, steps)[begin:], 1.0)
        case Euler():
            return euler_schedule(sampler, steps, begin)
        case EulerAncestral():
            return ancestral_schedule(sampler, steps, begin)
        case DpmSolver():
            return Schedule(dpm_solver_steps(sampler, steps, begin), 1.0)
        case Plms():
            return Schedule(plms_steps(sampler, steps, begin), 1.0)
        case FlowMatching():
            return Schedule(flow_steps(sampler, steps, patches)[begin:], 1.0)


def most_steps(sampler: Sampler) -> int:
    match sampler:
        case FlowMatching(times=times):
            return times
        case DpmSolver(betas=betas):
            return betas.times - 1
        case other:
            return other.betas.times
