"""What a recipe reads: the checkpoint's tensors, and the part of the architecture that its target belongs to."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.quant import Weight, WeightsError
from models.spec import Arch, Attention, LatentAttention, Layer, LinearAttention, MoE, Patches, Single, TiledTower, Tower, mixers

Checkpoint = Mapping[str, Weight]  # read lazily: one tensor at each lookup


@dataclass(frozen=True)
class Source:
    """The checkpoint as one of our tensors (`target`) sees it. Notes in `used` what was read."""

    checkpoint: Checkpoint
    names: set[str]
    used: set[str]
    layer: int | None
    arch: Arch | None
    target: str
    expert: int | None = None

    def read(self, template: str) -> Weight:
        name = template.format(i=self.layer, e=self.expert)
        if name not in self.names:
            raise WeightsError(f"the checkpoint has no tensor {name}, which {self.target} is made from")
        self.used.add(name)
        return self.checkpoint[name]

    def any_of(self, templates: Sequence[str]) -> Weight:
        """The first that is there."""
        here = [template for template in templates if self.has(template)] or templates
        value = self.read(here[0])
        self.used.update(template.format(i=self.layer, e=self.expert) for template in here)
        return value

    def has(self, template: str) -> bool:
        return template.format(i=self.layer, e=self.expert) in self.names

    @property
    def _of_layer(self) -> Layer:
        if self.arch is None:
            raise WeightsError(f"{self.target}: this model has no layers that a recipe could ask about")
        return (self._tower or self.arch).layers[self.layer or 0]

    @property
    def _tower(self) -> Tower | TiledTower | None:
        """That of the target, where it is not of the architecture's own layers."""
        if self.arch is None:
            return None
        if self.target.startswith("vision."):
            return self.arch.vision.tower if self.arch.vision else None
        return self.arch.encoder if self.target.startswith("encoder.") else None

    @property
    def patches(self) -> Patches:
        found = None if self.arch is None else self.arch.vision.patches if self.arch.vision else self.arch.patches
        if found is None:
            raise WeightsError(f"{self.target}: this architecture reads no images")
        return found

    @property
    def experts(self) -> int:
        match self._of_layer.ffn:
            case MoE(experts=e):
                return e
            case other:
                raise WeightsError(f"{self.target}: {type(other).__name__} has no experts")

    @property
    def mixer(self) -> Single:
        """That of the layer, or of the block that it shares, or the one of several whose number stands in the tensor's name."""
        layer = self._of_layer
        if layer.block is not None and ".block." in self.target:
            return layer.block.attention
        found, number = mixers(layer), re.search(r"\.mixer\.(\d+)\.", self.target)
        if not found:
            raise WeightsError(f"{self.target}: the layer has no mixer")
        return found[int(number[1]) if number else 0]

    @property
    def attention(self) -> Attention:
        if not isinstance(self.mixer, Attention):
            raise WeightsError(f"{self.target}: {type(self.mixer).__name__} has no queries, keys and values in one matrix")
        return self.mixer

    @property
    def linear(self) -> LinearAttention:
        if not isinstance(self.mixer, LinearAttention):
            raise WeightsError(f"{self.target}: {type(self.mixer).__name__} has no value heads of key heads")
        return self.mixer

    @property
    def latent(self) -> LatentAttention:
        if not isinstance(self.mixer, LatentAttention):
            raise WeightsError(f"{self.target}: {type(self.mixer).__name__} has no latents")
        return self.mixer
