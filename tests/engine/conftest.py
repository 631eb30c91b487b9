import pytest
import torch

from engine.embedded.kernels.library import Library


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny tensors gain nothing from threads, and other tests run beside these."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def library() -> Library:
    opened = Library.open(threads=1)
    if opened is None:
        pytest.skip("the kernels were not built, or this processor lacks AVX2")
    return opened
