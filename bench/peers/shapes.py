"""A benchmark's shape, as all programs of scripts/bench write it: H,B,R,T."""

import argparse
from typing import NamedTuple


class Shape(NamedTuple):
    hidden: int
    batch: int
    radii: int
    steps: int

    @classmethod
    def parse(cls, text):
        """For argparse."""
        parts = text.split(",")
        if len(parts) != 4 or not all(part.isdecimal() and int(part) > 0 for part in parts):
            raise argparse.ArgumentTypeError(f"{text}: not four positive numbers H,B,R,T")
        return cls(*map(int, parts))

    def __str__(self):
        return ",".join(map(str, self))
