"""Arrays that are filled on the host and read on the device."""

import numpy as np
import torch
from numpy.typing import NDArray


class Mirror:
    """An array on the host and its tensor on the device; on the CPU they are the same memory."""

    def __init__(self, shape: tuple[int, ...], dtype: type[np.integer], fill: int, device: torch.device) -> None:
        self.host: NDArray[np.integer] = np.full(shape, fill, dtype)
        self.device = torch.from_numpy(self.host)
        if device.type != "cpu":
            self._pinned = self.device.pin_memory()
            self.host, self.device = self._pinned.numpy(), self.device.to(device)

    def upload(self) -> None:
        """Returns before the numbers have arrived: leave `host` alone until then. Not on the CPU."""
        self.device.copy_(self._pinned, non_blocking=True)
