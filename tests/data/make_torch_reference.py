"""Writes torch_t120.npz and torch_t300.npz: networks, and what PyTorch's autograd says of them.

    python tests/data/make_torch_reference.py        needs torch

Each file holds the arrays of an nn.RNN with H = 37 units in float64, an input for B = 7 samples,
and per case an array `log10_norm_<nonlinearity>_<loss>` [radii][steps][mean, min, max over the
batch] of log10 |dL/dh_t| at the radii `rho_<nonlinearity>`. Rhosweep ignores the members it does
not know.
"""

import sys
from pathlib import Path

import numpy as np

HIDDEN, BATCH, INPUT = 37, 7, 3
LOSSES = ("last-mean", "all-mean", "random")
SEED = 5  # of the random loss

# Gradients that vanish over 300 steps, and gradients that grow over 120: chaos for tanh.
FILES = {
    "torch_t300.npz": (300, {"tanh": [0.4, 0.9, 1.1], "relu": [0.8, 1.2], "linear": [0.5, 0.95]}),
    "torch_t120.npz": (120, {"tanh": [2.0, 2.5], "relu": [1.6, 2.0], "linear": [1.05, 1.5]}),
}


def draw_model(steps, seed):
    """The arrays of a network with PyTorch's default weights, and a small input: it leaves tanh
    room for chaos."""
    rng = np.random.default_rng(seed)

    def uniform(*shape):
        return rng.uniform(-1.0, 1.0, shape) / np.sqrt(HIDDEN)

    return {
        "weight_hh_l0": uniform(HIDDEN, HIDDEN),
        "weight_ih_l0": uniform(HIDDEN, INPUT),
        "bias_ih_l0": uniform(HIDDEN),
        "bias_hh_l0": uniform(HIDDEN),
        "input": 0.5 * rng.standard_normal((steps, BATCH, INPUT)),
    }


def philox(counter, key):
    """Philox4x32-10 (Salmon et al. 2011): four words of 32 bits for four words of counter."""
    mask = 0xFFFFFFFF
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        left, right = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (right >> 32) ^ c1 ^ k0, right & mask, (left >> 32) ^ c3 ^ k1, left & mask
        k0, k1 = (k0 + 0x9E3779B9) & mask, (k1 + 0xBB67AE85) & mask
    return c0, c1, c2, c3


def loss_directions(seed, batch=BATCH, hidden=HIDDEN):
    """[batch][hidden] the unit vectors of the loss "random", as kernels/base/random.h defines them:
    Box-Muller pairs, counted by (pair, sample, 0, stream of the loss)."""
    stream = 8
    rows = []
    for sample in range(batch):
        row = []
        for pair in range((hidden + 1) // 2):
            bits = philox((pair, sample, 0, stream), (seed & 0xFFFFFFFF, seed >> 32))
            first = ((bits[1] << 32 | bits[0]) >> 11) + 1
            second = (bits[3] << 32 | bits[2]) >> 11
            radius = np.sqrt(-2.0 * np.log(first * 2.0**-53))
            angle = 2.0 * np.pi * (second * 2.0**-53)
            row += [radius * np.cos(angle), radius * np.sin(angle)]
        rows.append(row[:hidden])
    directions = np.array(rows)
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def log10_norms(model, nonlinearity, loss, rho):
    """[steps][mean, min, max over the batch] of log10 |dL/dh_t|, by autograd in float64."""
    import torch

    phi = {"tanh": torch.tanh, "relu": torch.relu, "linear": lambda a: a}[nonlinearity]
    arrays = {name: torch.tensor(value) for name, value in model.items()}
    radius = np.abs(np.linalg.eigvals(model["weight_hh_l0"])).max()
    weight_hh = arrays["weight_hh_l0"] * (rho / radius)
    drive = arrays["input"] @ arrays["weight_ih_l0"].T + arrays["bias_ih_l0"] + arrays["bias_hh_l0"]
    state = torch.zeros(BATCH, HIDDEN, dtype=torch.float64, requires_grad=True)
    states = []
    for u in drive:
        state = phi(u + state @ weight_hh.T)
        state.retain_grad()
        states.append(state)
    value = {
        "last-mean": lambda: states[-1].mean(),
        "all-mean": lambda: torch.stack(states).mean(),
        "random": lambda: (states[-1] * torch.tensor(loss_directions(SEED))).sum(),
    }[loss]()
    value.backward()
    logs = torch.stack([h.grad.norm(dim=1) for h in states]).log10()
    return torch.stack([logs.mean(1), logs.amin(1), logs.amax(1)], dim=1).numpy()


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for seed, (name, (steps, cases)) in enumerate(FILES.items(), start=1):
        model = draw_model(steps, seed)
        out = dict(model)
        for nonlinearity, radii in cases.items():
            out[f"rho_{nonlinearity}"] = np.array(radii)
            for loss in LOSSES:
                norms = [log10_norms(model, nonlinearity, loss, rho) for rho in radii]
                out[f"log10_norm_{nonlinearity}_{loss}"] = np.stack(norms)
                ends = ", ".join(f"rho {r}: {n[0, 0]:.1f}" for r, n in zip(radii, norms))
                print(f"{name} {nonlinearity} {loss}: log10 |dL/dh_1| at {ends}")
        np.savez_compressed(folder / name, **out)


if __name__ == "__main__":
    main()
