"""What colours become in grey and for those who lack a kind of cone."""

import numpy as np
from matplotlib.colors import to_rgb

# Of linear RGB, where a kind of cone is missing: Machado, Oliveira and Fernandes 2009, severity 1.
MISSING = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216),
                   (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413),
                     (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602),
                   (0.004733, 0.691367, 0.303900)),
}
EYES = ("all cones", *MISSING)
_TO_XYZ = np.array(((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750),
                    (0.0193339, 0.1191920, 0.9503041)))
_WHITE = _TO_XYZ.sum(axis=1)


def linear(colour):
    """Linear RGB of a colour of matplotlib."""
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(colour, eyes="all cones"):
    """CIE L*a*b* of what such eyes see."""
    rgb = linear(colour)
    if eyes in MISSING:
        rgb = np.clip(np.array(MISSING[eyes]) @ rgb, 0.0, 1.0)
    parts = _TO_XYZ @ rgb / _WHITE
    x, y, z = np.where(parts > 0.008856, np.cbrt(parts), 7.787 * parts + 16.0 / 116.0)
    return np.array((116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)))


def difference(one, other, eyes):
    """Distance in L*a*b*: 2 can just be seen, 10 at a glance."""
    return float(np.linalg.norm(lab(one, eyes) - lab(other, eyes)))


def contrast(one, other):
    """Of letters to their ground, from 1 to 21, as WCAG counts it."""
    low, high = sorted(float(_TO_XYZ[1] @ linear(colour)) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def over_white(colour, alpha):
    return tuple(alpha * part + (1.0 - alpha) for part in to_rgb(colour))
