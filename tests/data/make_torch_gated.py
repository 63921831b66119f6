"""Writes torch_gated.json: what PyTorch's autograd says of nn.LSTM and nn.GRU in float64, norms of
the gradients of states at some steps, and of the weights.

    python tests/data/make_torch_gated.py        needs torch

The gradient of an LSTM's state (h_t, c_t) is taken at copies of both that the next step reads, so
that h_t does not change with c_t. The networks are drawn with RandomState, whose numbers are the
same for all time, so that they need not be kept.
"""

import itertools
import json
from pathlib import Path

import numpy as np

GATES = {"lstm": 4, "gru": 3}
LOSSES = ("last-mean", "all-mean")
GAINS = (0.5, 1.0, 2.0, 4.0)
# hidden, input size, batch, steps, warm-up
SIZES = ((10, 1, 1, 50, 0), (24, 2, 3, 120, 5), (37, 3, 4, 80, 0))
STATES = {"lstm": ("h", "c", "both"), "gru": ("h",)}
KINDS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
FILE = Path(__file__).parent / "torch_gated.json"


def cases():
    """(cell, size, gain, loss)"""
    return list(itertools.product(GATES, SIZES, GAINS, LOSSES))


def draw_model(cell, size, gain, seed=0):
    """The arrays of a network as the state_dict and Rhosweep's .npz name them."""
    hidden, inputs, batch, steps, warmup = size
    rows = GATES[cell] * hidden
    draw = np.random.RandomState(1000 * seed + 10 * hidden + len(cell) + int(100 * gain))
    model = {
        "weight_ih_l0": 0.5 * draw.standard_normal((rows, inputs)),
        "weight_hh_l0": gain / np.sqrt(hidden) * draw.standard_normal((rows, hidden)),
        "bias_ih_l0": 0.3 * draw.standard_normal(rows),
        "bias_hh_l0": 0.3 * draw.standard_normal(rows),
        "input": draw.standard_normal((warmup + steps, batch, inputs)),
        "h0": 0.5 * draw.standard_normal((batch, hidden)),
        "c0": 0.5 * draw.standard_normal((batch, hidden)),
    }
    return model if cell == "lstm" else {k: v for k, v in model.items() if k != "c0"}


def advance(cell, module, weights, x, state):
    """The states after a step, as copies."""
    import torch

    after = torch.func.functional_call(module, weights, (x, state if cell == "lstm" else state[0]))
    return tuple(part.clone() for part in (after if cell == "lstm" else (after,)))


def unrolled(cell, model, warmup):
    """The weights by name, and the states of every recorded step."""
    import torch

    weights = {kind: torch.tensor(model[f"{kind}_l0"], requires_grad=True) for kind in KINDS}
    make = torch.nn.LSTMCell if cell == "lstm" else torch.nn.GRUCell
    module = make(model["input"].shape[2], model["weight_hh_l0"].shape[1]).double()
    state = tuple(torch.tensor(model[name]) for name in ("h0", "c0") if name in model)
    states = []
    for step, x in enumerate(torch.tensor(model["input"])):
        if step == warmup:
            state = tuple(part.detach() for part in state)
        state = advance(cell, module, weights, x, state)
        if step >= warmup:
            for part in state:
                part.retain_grad()
            states.append(state)
    return weights, states


def squares(part):
    """[batch] of the gradient; that of the last c_t is 0, and autograd has none."""
    return 0.0 * part[:, 0] if part.grad is None else (part.grad**2).sum(dim=1)


def gradients(cell, model, loss, warmup):
    """State to [steps][mean, min, max over the batch] of log10 norms; kind of weight to norm."""
    import torch

    weights, states = unrolled(cell, model, warmup)
    outputs = [state[0] for state in states]
    (outputs[-1].mean() if loss == "last-mean" else torch.stack(outputs).mean()).backward()
    parts = torch.stack([torch.stack([squares(part) for part in state]) for state in states]).detach()
    if cell == "lstm":
        parts = torch.cat([parts, parts.sum(dim=1, keepdim=True)], dim=1)
    logs = 0.5 * parts.log10()
    summary = torch.stack([logs.mean(dim=2), logs.amin(dim=2), logs.amax(dim=2)], dim=2).numpy()
    return (
        {name: summary[:, i] for i, name in enumerate(STATES[cell])},
        {kind: weight.grad.norm().item() for kind, weight in weights.items()},
    )


def kept_steps(steps):
    """Enough of them to see a wrong one."""
    return sorted({1, 2, steps // 4, steps // 2, steps - 20, steps - 3, steps - 1, steps})


def rounded_otherwise(model):
    """The arrays as far from what they are as float32 rounds them."""
    draw = np.random.RandomState(1)
    return {k: v * (1.0 + 2.0**-24 * draw.standard_normal(v.shape)) for k, v in model.items()}


def largest_change(curves, others):
    return max(np.abs(curve - others[s])[np.isfinite(curve)].max() for s, curve in curves.items())


def reference(cell, size, gain, loss):
    model, warmup = draw_model(cell, size, gain), size[-1]
    curves, weights = gradients(cell, model, loss, warmup)
    others, _ = gradients(cell, rounded_otherwise(model), loss, warmup)
    change = largest_change(curves, others)
    kept = kept_steps(size[3])
    return {
        "cell": cell, "size": list(size), "gain": gain, "loss": loss, "change": change,
        "grows": bool(curves[STATES[cell][-1]][:, 2].max() > curves[STATES[cell][-1]][-1, 2] + 0.5),
        "weights": weights,
        "curves": {s: {str(t): list(curve[t - 1]) for t in kept} for s, curve in curves.items()},
    }


def main():
    rows = [reference(*case) for case in cases()]
    for row in rows:
        first = row["curves"][STATES[row["cell"]][-1]]["1"][0]
        print(row["cell"], row["size"], row["gain"], row["loss"], f"{first:.2f}", f"{row['change']:.1e}")
    text = ",\n".join(json.dumps(row).replace("-Infinity", '"-inf"') for row in rows)
    FILE.write_text(f"[\n{text}\n]\n")


if __name__ == "__main__":
    main()
