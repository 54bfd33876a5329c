"""Which processor does what: whoever sends has one of its own, where the system allows it."""

import os

SENDS = "sends"
SERVED = "served"


def pin(role: str) -> None:
    """Keep this process on the processors of its role."""
    # Only Linux has it.
    affinity = getattr(os, "sched_setaffinity", None)
    processors = range(os.cpu_count() or 1)
    if affinity is not None and len(processors) > 1:
        affinity(0, processors[:1] if role == SENDS else processors[1:])
