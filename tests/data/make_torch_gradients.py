"""Writes torch_gradients.json: what PyTorch's autograd and clip_grad_norm_ say of the weights'
gradients, in float64, and how much they change where numbers are rounded as float32 rounds them.

    python tests/data/make_torch_gradients.py        needs torch

tanh and relu cells are nn.RNN; linear ones, which it has not, a loop. The networks are drawn with
RandomState, whose numbers are the same for all time, so that they need not be kept.
"""

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from make_torch_reference import loss_directions

LOSSES = ("last-mean", "all-mean", "random")
KINDS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
COLUMNS = (*KINDS, "total", "clip_coef", "total_clipped")
SEED = 5  # of the random loss
FILE = Path(__file__).parent / "torch_gradients.json"

# hidden, batch, input size, steps, warm-up steps before them, max_norm, and radii of each cell.
# "far": no input, a start of 1e-30: gradients of biases pass 1e60 where states do not pass 1e38.
MODELS = {
    "h10": (10, 1, 1, 50, 0, 0.5, {"tanh": [0.5, 0.95, 2.0], "relu": [0.8, 1.6], "linear": [0.6, 1.2]}),
    "h16": (16, 5, 2, 100, 10, 0.2, {"tanh": [0.5, 0.95], "relu": [0.8, 1.6], "linear": [0.6, 1.1]}),
    "h37": (37, 7, 3, 200, 0, 0.1, {"tanh": [0.5, 0.95], "relu": [0.8, 1.6], "linear": [0.6, 1.1]}),
    "h48": (48, 5, 4, 120, 0, 1.0, {"tanh": [0.5, 0.95], "relu": [0.8, 1.6], "linear": [0.6, 1.1]}),
    "far": (16, 5, 2, 120, 0, 1.0, {"relu": [5.2], "linear": [3.5]}),
}


def draw_model(name):
    """The arrays of a network as nn.RNN's state_dict and Rhosweep's .npz name them."""
    hidden, batch, inputs, steps, warmup, *_ = MODELS[name]
    draw = np.random.RandomState(sum(map(ord, name)))
    near = 0.0 if name == "far" else 1.0

    def uniform(*shape):
        return draw.uniform(-1.0, 1.0, shape) / np.sqrt(hidden)

    return {
        "weight_ih_l0": uniform(hidden, inputs),
        "weight_hh_l0": uniform(hidden, hidden),
        "bias_ih_l0": near * uniform(hidden),
        "bias_hh_l0": near * uniform(hidden),
        "input": near * draw.standard_normal((warmup + steps, batch, inputs)),
        "h0": (0.5 if near else 1e-30) * draw.standard_normal((batch, hidden)),
    }


def scaled(model, rho):
    radius = np.abs(np.linalg.eigvals(model["weight_hh_l0"])).max()
    return {**model, "weight_hh_l0": model["weight_hh_l0"] * (rho / radius)}


def parameters_of(model):
    """Tensors that want a gradient, in the order of KINDS."""
    import torch

    return [torch.tensor(model[f"{kind}_l0"], requires_grad=True) for kind in KINDS]


def run_linear(parameters, inputs, state):
    import torch

    weight_ih, weight_hh, bias_ih, bias_hh = parameters
    states = []
    for x in inputs:
        state = x @ weight_ih.T + bias_ih + state @ weight_hh.T + bias_hh
        states.append(state)
    return torch.stack(states)


def run_module(cell, parameters, inputs, state):
    import torch

    hidden, features = parameters[0].shape
    module = torch.nn.RNN(features, hidden, nonlinearity=cell).double()
    weights = {f"{kind}_l0": p for kind, p in zip(KINDS, parameters)}
    return torch.func.functional_call(module, weights, (inputs, state[None]))[0]


def states_of(cell, parameters, inputs, state):
    """[steps][batch][hidden]"""
    if cell == "linear":
        return run_linear(parameters, inputs, state)
    return run_module(cell, parameters, inputs, state)


def loss_of(loss, states):
    import torch

    if loss == "last-mean":
        return states[-1].mean()
    if loss == "all-mean":
        return states.mean()
    return (states[-1] * torch.tensor(loss_directions(SEED, *states[-1].shape))).sum()


def clipped(model, cell, loss, warmup, max_norm):
    """COLUMNS of one network: norms of the gradients, and what clipping makes of them."""
    import torch

    parameters = parameters_of(model)
    inputs, state = torch.tensor(model["input"]), torch.tensor(model["h0"])
    if warmup:
        with torch.no_grad():
            state = states_of(cell, parameters, inputs[:warmup], state)[-1]
    loss_of(loss, states_of(cell, parameters, inputs[warmup:], state)).backward()
    norms = [p.grad.norm().item() for p in parameters]
    total = torch.nn.utils.clip_grad_norm_(parameters, max_norm).item()
    after = torch.stack([p.grad.norm() for p in parameters]).norm().item()
    return dict(zip(COLUMNS, (*norms, total, min(1.0, max_norm / (total + 1e-6)), after)))


def cases():
    """(name, cell, radii, loss) of every sweep."""
    return [
        (name, cell, radii, loss)
        for name, (*_, all_radii) in MODELS.items()
        for cell, radii in all_radii.items()
        for loss in LOSSES
    ]


def rounded_otherwise(model, seed):
    """The arrays as far from what they are as float32 rounds them."""
    draw = np.random.RandomState(seed)
    return {
        name: array * (1.0 + 2.0**-24 * draw.standard_normal(array.shape))
        for name, array in model.items()
    }


def change_by_rounding(row, model, *arguments):
    """The largest relative change of a norm when the arrays are rounded otherwise: chaos has it
    grow."""
    others = [clipped(rounded_otherwise(model, seed), *arguments) for seed in range(3)]
    return max(abs(other[kind] / row[kind] - 1.0) for other in others for kind in KINDS if row[kind])


def references(with_change=False):
    """One row per network."""
    for name, cell, radii, loss in cases():
        *_, warmup, max_norm, _ = MODELS[name]
        for rho in radii:
            model, settings = scaled(draw_model(name), rho), (cell, loss, warmup, max_norm)
            row = {"model": name, "cell": cell, "loss": loss, "rho": rho, **clipped(model, *settings)}
            if with_change:
                row["change"] = change_by_rounding(row, model, *settings)
            yield row


def main():
    rows = list(references(with_change=True))
    for row in rows:
        print(*(f"{value:.3g}" if isinstance(value, float) else value for value in row.values()))
    FILE.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")


if __name__ == "__main__":
    main()
