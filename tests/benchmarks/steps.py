"""What a message costs in this process: no network, no kernel.

python -m tests.benchmarks.steps               # nanoseconds of CPU time, and what an echo is made of
python -m tests.benchmarks.steps --callgrind   # instructions: slow, but the same from run to run
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from time import process_time_ns

from tests.benchmarks.instructions import instructions
from tests.benchmarks.messages import MESSAGES, idle_bytes, parts_of_echo

__all__ = ["main"]

IDLE = "idle"


def nanoseconds(name: str, count: int) -> float:
    """CPU time of one of about ``count`` messages."""
    case = MESSAGES[name]
    return case.run(count, lambda take: timed(take, case.whole(count)))


def timed(take: Callable[[], object], count: int) -> float:
    """CPU time of one of ``count`` in ``take``, in nanoseconds."""
    began = process_time_ns()
    take()
    return (process_time_ns() - began) / count


def row(name: str, value: float, unit: str, about: str = "") -> None:
    """Print a line of the table."""
    print(f"{name:<14} {value:>9,.0f} {unit}  {about}".rstrip(), flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=",".join([*MESSAGES, IDLE]), help="of %(default)s")
    parser.add_argument("--messages", type=int, help="so many; by default 100 000, or what steadies callgrind's count")
    parser.add_argument("--sockets", type=int, default=2000, help="idle ones")
    parser.add_argument("--callgrind", action="store_true", help="count instructions; needs valgrind")
    given = parser.parse_args()
    names = given.cases.split(",")
    for name in names:
        if name not in (*MESSAGES, IDLE):
            parser.error(f"there is no {name}; there are {', '.join([*MESSAGES, IDLE])}")
    fast = [module for module in ("msgspec", "orjson") if importlib.util.find_spec(module)]
    print(f"JSON by {' and '.join(fast) or 'the standard library'}", flush=True)
    if IDLE in names:
        names.remove(IDLE)
        row(IDLE, idle_bytes(given.sockets), "bytes", "one connected websocket client that says nothing")
    if given.callgrind:
        for name, (others, cache_misses) in instructions(names, given.messages).items():
            row(name, others, "instructions", f"{MESSAGES[name].message} (and {cache_misses:.0f} for cache misses)")
        return
    count = given.messages or 100_000
    for name in names:
        row(name, nanoseconds(name, count), "ns", MESSAGES[name].message)
        if name == "echo":
            for part, take in parts_of_echo(count).items():
                row(f"  {part}", timed(take, count), "ns")


if __name__ == "__main__":
    main()
