"""Memory that large requests leave behind goes back to the system."""

import asyncio
import sys

import pytest

from server.runtime.upkeep import memory


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc keeps what is freed, and says so in /proc")
def test_what_is_freed_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CHECK_INTERVAL", 0.01)
    monkeypatch.setattr(memory, "WORTH_IT", 16 << 20)

    async def scene() -> None:
        before = memory._resident_bytes()
        giving = asyncio.create_task(memory.give_back_memory())
        await asyncio.sleep(0)
        kept = [bytes(20_000) for _ in range(5_000)]  # 100 MB in pieces that malloc takes from its heap
        last = kept[-1]
        del kept
        for _ in range(200):
            await asyncio.sleep(0.02)
            if memory._resident_bytes() < before + (32 << 20):
                break
        giving.cancel()
        assert memory._resident_bytes() < before + (32 << 20) and last

    asyncio.run(scene())
