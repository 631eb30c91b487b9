"""What one job may use of the machine."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLimits:
    seconds: float  # wall-clock wait, and processor time
    memory_bytes: int  # address space of the child
    output_bytes: int  # of its answer
    written_bytes: int = 0  # of each file that was handed to it for writing; 0: it writes none
