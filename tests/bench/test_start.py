"""The bench of starts: medians, and processor time as the system counts it."""

import os
import time

from bench.start import Start, middle, processor_seconds


def test_the_middle_of_three_rounds() -> None:
    rounds = [Start("m", ready, ready / 2, resident, 100, 0.0) for ready, resident in ((3.0, 250), (1.0, 150), (2.0, 900))]
    assert middle(rounds) == Start("m", 2.0, 1.0, 250, 100, 2.5)


def test_processor_seconds_of_this_process() -> None:
    before = time.process_time()
    assert before - 0.1 <= processor_seconds(os.getpid()) <= time.process_time() + 0.1
