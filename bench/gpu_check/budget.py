"""The clock of a run, and how long each part of it may take."""

import time


class Clock:
    """Counts from its making to `total` seconds."""

    def __init__(self, total, now=time.monotonic):
        self.total = total
        self._now = now
        self._start = now()

    def elapsed(self):
        return self._now() - self._start

    def text(self):
        return f"{int(self.elapsed()) // 60} min {int(self.elapsed()) % 60} s"


class Budget:
    """Seconds for each group of steps, in order. What a group leaves over, the later ones have;
    what it would take beyond its share, it does not get."""

    def __init__(self, clock, shares):
        self.clock = clock
        self._end = {}
        scale = clock.total / sum(shares.values())
        end = 0.0
        for group, share in shares.items():
            end += scale * share
            self._end[group] = end

    def left(self, group):
        return self._end[group] - self.clock.elapsed()
