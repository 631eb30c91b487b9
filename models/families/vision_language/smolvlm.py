"""SmolVLM under the name that its later checkpoints have."""

from typing import Any

from models.families.vision_language import idefics3

text, vision, VISION = idefics3.text, idefics3.vision, idefics3.VISION

TINY: dict[str, Any] = idefics3.TINY | {"architectures": ["SmolVLMForConditionalGeneration"], "model_type": "smolvlm"}
