"""Decode steps as CUDA graphs: one launch instead of some hundred. Untested where there is no GPU."""

from collections.abc import Callable

import torch
from torch import Tensor

from engine.embedded.step.inputs import Shape

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

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool = torch.cuda.graph_pool_handle()

    def fit(self, shape: Shape, most: Shape) -> Shape | None:
        """Only steps that give each sequence one token: prompts keep a GPU busy without."""
        if shape.tokens != shape.rows:
            return None
        padded = 1 << (shape.rows - 1).bit_length() if shape.rows <= 8 else -(-shape.rows // 8) * 8
        rows, wide = min(padded, most.rows), max(16, 1 << (shape.width - 1).bit_length())
        return Shape(rows, rows, min(wide, most.width))

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
