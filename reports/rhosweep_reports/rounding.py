"""How many digits a number with an interval has: as in the program's tables (host/table/reading.c)."""

import math
from dataclasses import dataclass

MOST_DIGITS = 9


@dataclass(frozen=True)
class Rounding:
    """To `decimals` of a number over 10^power; to four digits where the interval tells nothing."""

    power: int = 0
    decimals: int | None = None

    def __call__(self, value):
        """Without the power."""
        return "0" if value == 0.0 else self.digits(value)

    def digits(self, value):
        """Without the power; of 0 as many as of others."""
        if self.decimals is None or not math.isfinite(value):
            return f"{value:.4g}"
        half = int(self.power / 2)  # 10^-power may be beyond the range of doubles
        scaled = value / 10.0**half / 10.0 ** (self.power - half)
        unit = 10.0 ** max(0, -self.decimals)
        if unit > 1.0:
            scaled = math.copysign(unit * math.floor(abs(scaled) / unit + 0.5), scaled)
        text = f"{scaled:.{max(0, self.decimals)}f}"
        return text.removeprefix("-") if float(text) == 0.0 else text

    @property
    def exponent(self):
        return f"e{self.power:+03d}" if self.power else ""

    def whole(self, value):
        """With the power."""
        return self(value) + (self.exponent if value != 0.0 and math.isfinite(value) else "")


def _exponent(value, digits):
    """Of a number that is rounded to so many digits."""
    return int(f"{value:.{digits - 1}e}".partition("e")[2])


def to(value, half, digits=2):
    """To so many digits of half the interval."""
    if not (0.0 < half < math.inf and math.isfinite(value)):
        return Rounding()
    uncertain = _exponent(half, 2)
    size = max(_exponent(value, 15), uncertain) if value else uncertain
    if size - uncertain + digits > MOST_DIGITS:
        return Rounding()
    power = 0 if -4 <= size < 6 else size
    return Rounding(power, power + digits - 1 - uncertain)


def between(value, low, high):
    """For an interval with ends; one that is 0 or not finite is no bound."""
    has_low, has_high = low != 0.0 and math.isfinite(low), math.isfinite(high)
    half = 0.5 * (high - low) if has_low and has_high else \
        value - low if has_low else high - value if has_high else math.nan
    if not 0.0 < half < math.inf:
        return Rounding()
    first = half / 10.0 ** math.floor(math.log10(half))
    return to(value, half, 1 if 3.55 <= first < 9.95 else 2)


def with_half(value, half):
    """ "0.4453 ± 0.0085"."""
    how = to(value, half)
    return f"{how.digits(value)} ± {how(half)}{how.exponent}"
