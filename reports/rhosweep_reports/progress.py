"""What is being done, on stderr, once it has taken two seconds."""

import os
import sys
import time

PATIENCE = 2.0  # seconds


class Progress:
    def __init__(self, stream=None):
        self._stream = stream or sys.stderr or open(os.devnull, "w", encoding="utf-8")
        self._terminal = self._stream.isatty()
        self._next = time.monotonic() + PATIENCE
        self._shown = False

    def say(self, text):
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (0.1 if self._terminal else PATIENCE)
        self._shown = True
        start, end = ("\r\x1b[K", "") if self._terminal else ("", "\n")
        print(f"{start}{text}", end=end, file=self._stream, flush=True)

    def end(self):
        """Leaves a terminal's line empty for what comes next."""
        if self._shown and self._terminal:
            print("\r\x1b[K", end="", file=self._stream, flush=True)
