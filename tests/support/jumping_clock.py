"""The daemon under a wall clock that a test moves: `python jumping_clock.py FILE`.

The file holds how many seconds the clock is off; the test writes it. Only the time of day jumps:
that is what people, time servers and dead batteries do to it. Run apart from the tests, with
nothing else loaded, so that every module takes the time from here.
"""

from __future__ import annotations

import sys
import time


def main() -> int:
    path = sys.argv[1]
    real, real_ns = time.time, time.time_ns

    def offset_s() -> float:
        with open(path, encoding="ascii") as file:
            return float(file.read() or 0)

    time.time = lambda: real() + offset_s()
    time.time_ns = lambda: real_ns() + int(offset_s() * 1_000_000_000)

    from holdfast import daemon

    return daemon.main()


if __name__ == "__main__":
    sys.exit(main())
