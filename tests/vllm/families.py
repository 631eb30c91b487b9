"""Families that vLLM 0.32 cannot run on a CPU, and what it or our plugin says of each (tests/vllm/check_models.py holds both true)."""

CANNOT = {
    "nemotron_h": "is_act_and_mul=False is supported only for CUDA, XPU and ROCm for now",
    "reformer_lm": "vLLM has no attention with the mask Chunked(size=4, before=1)",
}
