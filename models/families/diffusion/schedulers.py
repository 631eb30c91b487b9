"""diffusers' scheduler_config.json as a sampler."""

from collections.abc import Callable
from math import inf
from typing import Any, Literal

from models.hf import Config, ConfigError
from models.spec.diffusion import (
    Betas,
    Ddim,
    Ddpm,
    DpmSolver,
    DynamicShift,
    Euler,
    EulerAncestral,
    FlowMatching,
    Plms,
    Prediction,
    Sampler,
    Spacing,
)

PREDICTIONS: dict[str, Prediction] = {"epsilon": "noise", "sample": "clean", "v_prediction": "velocity"}

# of other classes: a file that was made from one of theirs keeps them, and diffusers does not read them either
_FOREIGN = {
    "clip_sample",
    "clip_sample_range",
    "dynamic_thresholding_ratio",
    "sample_max_value",
    "set_alpha_to_one",
    "skip_prk_steps",
    "thresholding",
}


def sampler(values: dict[str, Any]) -> Sampler:
    """Raises ConfigError (a ValueError) for what is not supported, and for a key that nobody read."""
    config = Config(values, "scheduler_config.json")
    config.ignore("_class_name", "_diffusers_version")
    name = config.text("_class_name")
    if name not in SCHEDULERS:
        raise ConfigError(f"scheduler_config.json: _class_name = {name!r} is not supported, only {', '.join(SCHEDULERS)}")
    made = SCHEDULERS[name](config)
    config.finish()
    return made


def _ddpm(config: Config) -> Ddpm:
    config.only("variance_type", "fixed_small", "fixed_small_log", "fixed_large")
    large = config.text("variance_type", "fixed_small") == "fixed_large"
    betas, predicts = _seen_betas(config)
    return Ddpm(
        betas=betas,
        spacing=_spacing(config, "leading"),
        predicts=predicts,
        clip=_clip(config),
        variance="large" if large else "small",
    )


def _ddim(config: Config) -> Ddim:
    config.ignore("skip_prk_steps")
    betas, predicts = _seen_betas(config)
    last: Literal["zero", "first"] = "zero" if config.flag("set_alpha_to_one", True) else "first"
    return Ddim(betas=betas, spacing=_spacing(config, "leading"), predicts=predicts, clip=_clip(config), last=last)


def _euler(config: Config) -> Euler:
    config.ignore(*_FOREIGN)
    for key, value in (("interpolation_type", "linear"), ("timestep_type", "discrete"), ("sigma_min", None), ("sigma_max", None)):
        config.only(key, value)
    return Euler(
        betas=_betas(config),
        spacing=_spacing(config, "linspace"),
        predicts=_prediction(config),
        karras=_karras(config),
        last=_last(config),
    )


def _ancestral(config: Config) -> EulerAncestral:
    config.ignore(*_FOREIGN)
    predicts = _prediction(config)
    if predicts == "clean":
        raise ConfigError("scheduler_config.json: prediction_type = 'sample' is not supported by EulerAncestralDiscreteScheduler")
    return EulerAncestral(betas=_betas(config), spacing=_spacing(config, "linspace"), predicts=predicts)


def _dpm_solver(config: Config) -> DpmSolver:
    config.ignore(*(_FOREIGN - {"thresholding"}))
    for key, value in (("thresholding", False), ("algorithm_type", "dpmsolver++"), ("solver_type", "midpoint")):
        config.only(key, value)
    for key, value in (("use_lu_lambdas", False), ("use_flow_sigmas", False), ("use_dynamic_shifting", False), ("variance_type", None)):
        config.only(key, value)
    config.only("lambda_min_clipped", -inf, "-Infinity")
    config.only("solver_order", 2, 1)
    config.ignore("flow_shift", "time_shift_type")  # of flow sigmas
    few = config.flag("lower_order_final", True)
    return DpmSolver(
        betas=_betas(config),
        spacing=_spacing(config, "linspace"),
        predicts=_prediction(config),
        order=1 if config.integer("solver_order", 2) == 1 else 2,
        karras=_karras(config),
        last=_last(config),
        final="first" if config.flag("euler_at_final", False) else "first_of_few" if few else "same",
    )


def _plms(config: Config) -> Plms:
    config.ignore("clip_sample")  # which diffusers does not read there
    if not config.flag("skip_prk_steps", False):
        raise ConfigError("scheduler_config.json: skip_prk_steps must be true: steps of Runge and Kutta are not supported")
    predicts = _prediction(config)
    if predicts == "clean":
        raise ConfigError("scheduler_config.json: prediction_type = 'sample' is not supported by PNDMScheduler")
    last: Literal["zero", "first"] = "zero" if config.flag("set_alpha_to_one", False) else "first"
    return Plms(betas=_betas(config), spacing=_spacing(config, "leading"), predicts=predicts, last=last)


def _flow(config: Config) -> FlowMatching:
    for key in ("invert_sigmas", "stochastic_sampling", "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"):
        config.only(key, False)
    config.only("shift_terminal", None)
    shift, dynamic = config.number("shift", 1.0), _dynamic(config)
    return FlowMatching(
        times=config.integer("num_train_timesteps", 1000),
        shift=dynamic if config.flag("use_dynamic_shifting", False) else shift,
    )


def _dynamic(config: Config) -> DynamicShift:
    config.only("time_shift_type", "exponential", "linear")
    return DynamicShift(
        small=config.number("base_shift", 0.5),
        large=config.number("max_shift", 1.15),
        few=config.integer("base_image_seq_len", 256),
        many=config.integer("max_image_seq_len", 4096),
        exponential=config.text("time_shift_type", "exponential") == "exponential",
    )


SCHEDULERS: dict[str, Callable[[Config], Sampler]] = {
    "DDPMScheduler": _ddpm,
    "DDIMScheduler": _ddim,
    "EulerDiscreteScheduler": _euler,
    "EulerAncestralDiscreteScheduler": _ancestral,
    "DPMSolverMultistepScheduler": _dpm_solver,
    "PNDMScheduler": _plms,
    "FlowMatchEulerDiscreteScheduler": _flow,
}

_CURVES: dict[str, Literal["linear", "scaled_linear", "cosine"]] = {
    "linear": "linear",
    "scaled_linear": "scaled_linear",
    "squaredcos_cap_v2": "cosine",
}


def _betas(config: Config) -> Betas:
    config.only("trained_betas", None)
    config.only("beta_schedule", *_CURVES)
    return Betas(
        times=config.integer("num_train_timesteps", 1000),
        start=config.number("beta_start", 0.0001),
        end=config.number("beta_end", 0.02),
        curve=_CURVES[config.text("beta_schedule", "linear")],
        zero_terminal=config.flag("rescale_betas_zero_snr", False),
    )


def _seen_betas(config: Config) -> tuple[Betas, Prediction]:
    """Of samplers that divide by the signal where the model says the noise."""
    betas, predicts = _betas(config), _prediction(config)
    if betas.zero_terminal and predicts == "noise":
        raise ConfigError("scheduler_config.json: rescale_betas_zero_snr needs prediction_type v_prediction or sample")
    return betas, predicts


def _prediction(config: Config) -> Prediction:
    config.only("prediction_type", *PREDICTIONS)
    return PREDICTIONS[config.text("prediction_type", "epsilon")]


def _spacing(config: Config, default: Literal["leading", "linspace"]) -> Spacing:
    offset = config.integer("steps_offset", 0)
    match config.text("timestep_spacing", default):
        case "leading":
            return Spacing(kind="leading", offset=offset)
        case "trailing":
            return Spacing(kind="trailing")
        case "linspace":
            return Spacing(kind="linspace")
        case other:
            raise ConfigError(f"scheduler_config.json: timestep_spacing = {other!r} is not supported, only leading, trailing or linspace")


def _clip(config: Config) -> float | None:
    config.only("thresholding", False)
    config.ignore("dynamic_thresholding_ratio", "sample_max_value")  # of thresholding
    reach = config.number("clip_sample_range", 1.0)
    return reach if config.flag("clip_sample", True) else None


def _karras(config: Config) -> bool:
    for key in ("use_exponential_sigmas", "use_beta_sigmas"):
        config.only(key, False)
    return config.flag("use_karras_sigmas", False)


def _last(config: Config) -> Literal["zero", "smallest"]:
    config.only("final_sigmas_type", "zero", "sigma_min")
    return "zero" if config.text("final_sigmas_type", "zero") == "zero" else "smallest"
