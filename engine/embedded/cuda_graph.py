"""Decode steps as CUDA graphs: one launch instead of some hundred. Untested where there is no GPU."""

from collections.abc import Callable

import torch
from torch import Tensor

WARM_UPS = 2  # lets libraries choose their algorithms and allocate workspaces before the capture


class CudaGraph:
    """Implements capture.Captured."""

    def __init__(self, graph: torch.cuda.CUDAGraph, logits_SY: Tensor) -> None:
        self._graph, self._logits_SY = graph, logits_SY

    def replay(self) -> Tensor:
        self._graph.replay()
        return self._logits_SY


class CudaGraphs:
    """Implements capture.Recorder. Shapes are rounded up, so that few graphs serve all steps; they share one memory
    pool, as only one runs at a time."""

    def __init__(self, device: torch.device, max_sequences: int, max_width: int) -> None:
        self._device, self._max_sequences, self._max_width = device, max_sequences, max_width
        self._pool = torch.cuda.graph_pool_handle()

    def fit(self, sequences: int, width: int) -> tuple[int, int] | None:
        if sequences > self._max_sequences:
            return None
        padded = 1 << (sequences - 1).bit_length() if sequences <= 8 else -(-sequences // 8) * 8
        wide = max(16, 1 << (width - 1).bit_length())
        return min(padded, self._max_sequences), min(wide, self._max_width)

    def record(self, step: Callable[[], Tensor]) -> CudaGraph:
        side = torch.cuda.Stream(self._device)
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                step()
        torch.cuda.current_stream(self._device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            logits_SY = step()
        return CudaGraph(graph, logits_SY)
