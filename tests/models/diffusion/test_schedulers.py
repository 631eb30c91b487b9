"""Every sampler takes the steps that diffusers' scheduler takes from the same scheduler_config.json, whatever the model says."""

import json
from math import inf
from typing import Any

import diffusers
import pytest
import torch
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from torch import Tensor

from models.diffusion.advance import Pictures, advance, model_input
from models.diffusion.advance import begin as begin_with
from models.diffusion.schedule import schedule
from models.families.diffusion.schedulers import sampler
from models.hf import ConfigError
from models.spec.diffusion import DynamicShift, FlowMatching

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")  # diffusers' own

STABLE = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}  # of Stable Diffusion
COUNTS = (1, 2, 5, 20, 50)
CASES: dict[str, list[dict[str, Any]]] = {
    "DDPMScheduler": [
        {},
        {"clip_sample": False, **STABLE},
        {"variance_type": "fixed_large", "beta_schedule": "squaredcos_cap_v2"},
        {"variance_type": "fixed_small_log", "clip_sample_range": 0.5, "num_train_timesteps": 400},
    ],
    "DDIMScheduler": [
        {},
        {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1, **STABLE},
        {"clip_sample_range": 0.7, "beta_schedule": "squaredcos_cap_v2"},
    ],
    "EulerDiscreteScheduler": [
        {},
        {"steps_offset": 1, **STABLE},
        {"use_karras_sigmas": True, **STABLE},
        {"final_sigmas_type": "sigma_min"},
    ],
    "EulerAncestralDiscreteScheduler": [{}, {"steps_offset": 1, **STABLE}],
    "PNDMScheduler": [{"skip_prk_steps": True, **STABLE}, {"skip_prk_steps": True, "set_alpha_to_one": True, "steps_offset": 1, **STABLE}],
    "DPMSolverMultistepScheduler": [
        {},
        {"use_karras_sigmas": True, "steps_offset": 1, **STABLE},
        {"solver_order": 1, **STABLE},
        {"final_sigmas_type": "sigma_min", "lower_order_final": False, **STABLE},
        {"final_sigmas_type": "sigma_min", "euler_at_final": True, **STABLE},
        {"final_sigmas_type": "sigma_min", **STABLE},
    ],
}
SPACED = [(name, change) for name, changes in CASES.items() for change in changes]
LINE = ("base_image_seq_len", "max_image_seq_len", "base_shift", "max_shift")
SHAPE = (2, 3, 4, 4)


def theirs(values: dict[str, Any]) -> Any:
    """With every key of the class written out, as `save_pretrained` does."""
    return getattr(diffusers, values["_class_name"])(**{key: value for key, value in values.items() if key != "_class_name"})


def noise(seed: int) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def said(seed: int) -> Tensor:
    """What a model says at one step: anything."""
    return noise(1000 + seed)


def check(values: dict[str, Any], count: int, begin: int = 0, patches: int | None = None) -> None:
    """`patches`: of a sampler whose shift grows with them."""
    world, plan = theirs(values), schedule(sampler(values), count, begin, patches)
    assert sampler(json.loads(world.to_json_string())) == sampler(values)
    world.set_timesteps(count, **({} if patches is None else {"mu": calculate_shift(patches, *(values[key] for key in LINE))}))
    times = world.timesteps[begin:]
    assert [step.time for step in plan.steps] == pytest.approx(times.tolist(), rel=1e-5, abs=1e-3)
    if begin:
        getattr(world, "set_begin_index", lambda at: None)(begin)
        picture = noise(500)
        x = _noised(world, picture, noise(0), times[:1])
        assert close(plan.steps[0].signal * picture + plan.steps[0].level * noise(0), x)
    else:
        x = noise(0) * getattr(world, "init_noise_sigma", 1.0)
        assert close(noise(0) * plan.start, x)
    now = begin_with(x)
    for i, (t, step) in enumerate(zip(times, plan.steps, strict=True)):
        read = world.scale_model_input(x, t) if hasattr(world, "scale_model_input") else x
        assert close(model_input([step] * len(x), now.x_NCHW), read)
        before = x.abs().max().item()
        drawn = {} if values["_class_name"] == "PNDMScheduler" else {"generator": torch.Generator().manual_seed(i)}
        x = world.step(said(i), t, x, **drawn).prev_sample
        now = advance([step] * len(x), now, said(i), noise(i))
        assert close(now.x_NCHW, x, before), (values, count, i)


def _noised(world: Any, picture: Tensor, added: Tensor, time: Tensor) -> Tensor:
    if hasattr(world, "scale_noise"):
        return world.scale_noise(picture, time, added)
    return world.add_noise(picture, added, time.expand(len(picture)))


def close(a: Tensor, b: Tensor, before: float = 0.0) -> bool:
    """Within 1e-4 of the largest number, and of 1; or within 1e-6 of what it was computed from, of which float32 keeps no more."""
    return (a - b).abs().max().item() < max(1e-4, 1e-4 * b.abs().max().item(), 1e-6 * before)


@pytest.mark.parametrize("spacing", ["leading", "linspace", "trailing"])
@pytest.mark.parametrize(("name", "change"), SPACED)
def test_steps_are_those_of_diffusers(name: str, change: dict[str, Any], spacing: str) -> None:
    for predicts in ("epsilon", "v_prediction", "sample"):
        if predicts == "sample" and name in ("EulerAncestralDiscreteScheduler", "PNDMScheduler"):
            continue  # diffusers has none
        for count in COUNTS:
            values = {"_class_name": name, "timestep_spacing": spacing, "prediction_type": predicts, **change}
            check(values, count)


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("count", COUNTS)
def test_flow_matching(shift: float, count: int) -> None:
    check({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": shift}, count)


@pytest.mark.parametrize("name", ["DDPMScheduler", "DDIMScheduler", "EulerDiscreteScheduler", "DPMSolverMultistepScheduler"])
def test_a_process_whose_last_time_has_no_signal(name: str) -> None:
    """Trained to predict the velocity: noise says nothing about what it hides."""
    for count in COUNTS:
        check(
            {"_class_name": name, "timestep_spacing": "trailing", "prediction_type": "v_prediction", "rescale_betas_zero_snr": True}, count
        )


@pytest.mark.parametrize(("name", "change"), [*SPACED, ("FlowMatchEulerDiscreteScheduler", {"shift": 3.0})])
def test_a_picture_that_comes_in_at_a_later_step(name: str, change: dict[str, Any]) -> None:
    for count, strength in ((20, 0.6), (5, 0.5), (5, 0.2)):
        check({"_class_name": name, **change}, count, count - int(count * strength))


@pytest.mark.parametrize("kind", ["exponential", "linear"])
@pytest.mark.parametrize("patches", [16, 1500])
def test_a_shift_that_grows_with_the_picture(kind: str, patches: int) -> None:
    line = dict(zip(LINE, (200, 2000, 0.4, 1.3), strict=True))
    for count in COUNTS:
        name = "FlowMatchEulerDiscreteScheduler"
        check({"_class_name": name, "use_dynamic_shifting": True, "time_shift_type": kind, "shift": 3.0, **line}, count, 0, patches)


def test_sigmas_that_lie_as_flux_has_them() -> None:
    values = {"_class_name": "FlowMatchEulerDiscreteScheduler", "use_dynamic_shifting": True}
    world, made = theirs(values), FlowMatching(shift=DynamicShift(), last="even")
    for count in COUNTS:
        world.set_timesteps(sigmas=[1 - i / count for i in range(count)], mu=calculate_shift(900))
        assert [step.time for step in schedule(made, count, patches=900).steps] == pytest.approx(world.timesteps.tolist(), rel=1e-5)


def test_pictures_at_different_steps_of_different_samplers_are_advanced_together() -> None:
    plans = [schedule(sampler({"_class_name": name}), 6) for name in ("DDPMScheduler", "DPMSolverMultistepScheduler")]
    alone = [_walk([plan.steps[i : i + 1] for i in range(6)], noise(i)[:1]) for i, plan in enumerate(plans)]
    late = plans[1].steps[2:]
    first = _walk([plans[1].steps[i : i + 1] for i in range(2)], noise(1)[:1])
    x = together(begin_with(noise(0)[:1]), first)
    for i in range(4):
        x = advance([plans[0].steps[i], late[i]], x, torch.cat([said(i)[:1], said(i + 2)[:1]]), torch.cat([noise(i)[:1], noise(i + 2)[:1]]))
    assert torch.equal(x.x_NCHW[1:], alone[1].x_NCHW)
    rest = Pictures(x.x_NCHW[:1], x.clean_NCHW[:1], x.past_NPCHW[:1])
    for i in (4, 5):
        rest = advance([plans[0].steps[i]], rest, said(i)[:1], noise(i)[:1])
    assert torch.equal(rest.x_NCHW, alone[0].x_NCHW)


def together(a: Pictures, b: Pictures) -> Pictures:
    return Pictures(*(torch.cat([getattr(a, name), getattr(b, name)]) for name in ("x_NCHW", "clean_NCHW", "past_NPCHW")))


def _walk(steps: list[Any], start: Tensor) -> Pictures:
    now = begin_with(start)
    for i, step in enumerate(steps):
        now = advance(step, now, said(i)[:1], noise(i)[:1])
    return now


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"_class_name": "LMSDiscreteScheduler"}, "_class_name = 'LMSDiscreteScheduler'"),
        ({"_class_name": "PNDMScheduler"}, "skip_prk_steps must be true"),
        ({"_class_name": "DDIMScheduler", "colour": 1}, "nobody read colour"),
        ({"_class_name": "DDIMScheduler", "thresholding": True}, "thresholding"),
        ({"_class_name": "DDPMScheduler", "variance_type": "learned_range"}, "variance_type"),
        ({"_class_name": "DDPMScheduler", "rescale_betas_zero_snr": True}, "rescale_betas_zero_snr"),
        ({"_class_name": "EulerDiscreteScheduler", "use_beta_sigmas": True}, "use_beta_sigmas"),
        ({"_class_name": "EulerDiscreteScheduler", "beta_schedule": "laplace"}, "beta_schedule"),
        ({"_class_name": "EulerAncestralDiscreteScheduler", "prediction_type": "sample"}, "prediction_type"),
        ({"_class_name": "DPMSolverMultistepScheduler", "solver_order": 3}, "solver_order"),
        ({"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": -5.1}, "lambda_min_clipped"),
        ({"_class_name": "FlowMatchEulerDiscreteScheduler", "invert_sigmas": True}, "invert_sigmas"),
        ({"_class_name": "DDIMScheduler", "timestep_spacing": "random"}, "timestep_spacing"),
    ],
)
def test_what_is_not_supported_is_named(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        sampler(values)


def test_steps_that_cannot_be_taken() -> None:
    made = sampler({"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": -inf})
    for count in (0, 1000):
        with pytest.raises(ValueError, match="steps must be between 1 and 999"):
            schedule(made, count)
    with pytest.raises(ValueError, match="begin must be between 0 and 4"):
        schedule(made, 5, 5)
    with pytest.raises(ValueError, match="depend on how many patches"):
        schedule(FlowMatching(shift=DynamicShift()), 5)
