"""What a PyTorch user would write for the norms of dL/dh_t over many spectral radii, timed.

The peers:

    nn_rnn_loop   nn.RNN (on a GPU, cuDNN's), one call per radius. The fastest code that ships, but
                  it has no dL/dh_t: it is timed for forward and backward alone.
    cell_hooks    nn.RNNCell per step and radius, a hook on every h_t that takes its norm.
    bmm_hooks     one baddbmm per step over all radii at once, with the same hooks.

and with --cell lstm or gru bmm_hooks and nn_lstm_loop or nn_gru_loop. The hooks of an LSTM take the
norms of dL/dh_t and of dL/dc_t, the latter while h_t is held fixed.

All do the work of one of our runs and no more: dL/dh_t, per sample norms summed in double, and no
gradients of weights unless --weight-gradients asks for them: then weights and biases of every
radius are leaves with requires_grad, as in training. Drawing and scaling the weights and
building the modules is not timed. fp32 is fp32 everywhere: no TF32 in products or in cuDNN.
Options and output: common.py.
"""

import functools

import torch

import common

DTYPES = {"f32": torch.float32, "f64": torch.float64}


def zeros(task, *sizes, **options):
    return torch.zeros(*sizes, dtype=task.dtype, device=task.device, **options)


def load_weights(module, task, scale, suffix):
    """The module with the task's weights, weight_hh scaled."""
    with torch.no_grad():
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            factor = scale if name == "weight_hh" else 1.0
            getattr(module, name + suffix).copy_(task.arrays[name + "_l0"] * factor)
    return module.requires_grad_(task.weight_gradients)


def record_norm(norms, step, gradient):
    """The hook: norms [T][...][B] of a gradient [...][B][H]."""
    norms[step] = torch.linalg.vector_norm(gradient, dim=-1, dtype=torch.float64)


def gradients_of(modules, suffix):
    """By the names of common.GRADIENTS, one a radius."""
    return {name: [getattr(module, name + suffix).grad for module in modules]
            for name in common.GRADIENTS}


def start_leaves(task, *columns):
    """Zeros [...][H], one of each state."""
    return [zeros(task, *columns, task.shape.hidden, requires_grad=True)
            for _ in common.CELLS[task.cell].states]


def hook_norms(state, norms, step):
    state.register_hook(functools.partial(record_norm, norms, step))


def new_norms(task, *columns):
    return torch.zeros(task.shape.steps, *columns, dtype=torch.float64, device=task.device)


def module_loop(task):
    """nn_rnn_loop, nn_lstm_loop, nn_gru_loop."""
    shape = task.shape
    networks = [
        load_weights(MODULES[task.cell](common.INPUT_SIZE, shape.hidden, device=task.device,
                                        dtype=task.dtype), task, scale, "_l0")
        for scale in task.scales
    ]

    def run():
        starts = []
        for network in networks:
            network.zero_grad()
            start = start_leaves(task, 1, shape.batch)
            _, last = network(task.arrays["input"], start if len(start) > 1 else start[0])
            last = last[0] if len(start) > 1 else last
            last.mean().backward()
            starts.append(torch.cat([leaf.grad for leaf in start]))
        return None, torch.stack(starts), gradients_of(networks, "_l0")

    return run


def cell_hooks(task):
    shape = task.shape
    cells = [
        load_weights(torch.nn.RNNCell(common.INPUT_SIZE, shape.hidden, device=task.device,
                                      dtype=task.dtype), task, scale, "")
        for scale in task.scales
    ]

    def run():
        norms, starts = [], []
        for cell in cells:
            cell.zero_grad()
            start = zeros(task, shape.batch, shape.hidden, requires_grad=True)
            state, own_norms = start, new_norms(task, shape.batch)
            for step, x in enumerate(task.arrays["input"]):
                state = cell(x, state)
                hook_norms(state, own_norms, step)
            state.mean().backward()
            norms.append(own_norms)
            starts.append(start.grad)
        return torch.stack(norms)[:, :, None], torch.stack(starts)[:, None], gradients_of(cells, "")

    return run


def stacked_leaves(task):
    """Weights and biases of every radius: [R] before the sizes that nn.RNN has."""
    arrays = {name: task.arrays[name + "_l0"] for name in common.GRADIENTS}
    stacked = {name: array.expand(task.shape.radii, *array.shape).clone()
               for name, array in arrays.items()}
    for weight, scale in zip(stacked["weight_hh"], task.scales, strict=True):
        weight *= scale
    return {name: array.requires_grad_() for name, array in stacked.items()}


def biases(task, arrays, suffix):
    """What is added to the product with x, and to that with h (None: nothing)."""
    bias_ih, bias_hh = arrays["bias_ih" + suffix], arrays["bias_hh" + suffix]
    return (bias_ih, bias_hh) if task.cell == "gru" else (bias_ih + bias_hh, None)


def shared_drive(task):
    """weight_ih x_t + bias [B][K H] of every step, the same at every radius; and the bias of the
    product with h."""
    bias, of_product = biases(task, task.arrays, "_l0")
    return (task.arrays["input"] @ task.arrays["weight_ih_l0"].T + bias).unbind(), of_product


def drive_of_leaves(task, leaves):
    """The same [R][B][K H], from the weights of every radius by one product."""
    shape = task.shape
    x = task.arrays["input"].reshape(1, -1, common.INPUT_SIZE).expand(shape.radii, -1, -1)
    bias, of_product = biases(task, leaves, "")
    drive = torch.baddbmm(bias[:, None], x, leaves["weight_ih"].mT)
    drive = drive.view(shape.radii, shape.steps, shape.batch, -1).unbind(1)
    return drive, None if of_product is None else of_product[:, None]


def tanh_step(drive, state, weights, _):
    return (torch.tanh(torch.baddbmm(drive, *state, weights)),)


def lstm_step(drive, state, weights, _):
    """The new c is a view of the one that h is made of: its hook sees the gradient that comes back
    from the next step, and not the path through h."""
    h, c = state
    i, f, g, o = torch.baddbmm(drive, h, weights).chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c.view_as(c)


def gru_step(drive, state, weights, bias):
    (h,) = state
    r, z, n = torch.baddbmm(bias, h, weights).chunk(3, -1)
    drive_r, drive_z, drive_n = drive.chunk(3, -1)
    n = torch.tanh(drive_n + torch.sigmoid(drive_r + r) * n)
    return (n + torch.sigmoid(drive_z + z) * (h - n),)


STEPS = {"tanh": tanh_step, "lstm": lstm_step, "gru": gru_step}
MODULES = {"tanh": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}


def bmm_hooks(task):
    shape, advance = task.shape, STEPS[task.cell]
    leaves = stacked_leaves(task) if task.weight_gradients else {}
    fixed = torch.stack([scale * task.arrays["weight_hh_l0"].T for scale in task.scales])
    columns = (shape.radii, shape.batch)

    def run():
        for leaf in leaves.values():
            leaf.grad = None
        weights = leaves["weight_hh"].mT if leaves else fixed
        drive, bias = drive_of_leaves(task, leaves) if leaves else shared_drive(task)
        start = state = start_leaves(task, *columns)
        norms = [new_norms(task, *columns) for _ in start]
        for step in range(shape.steps):
            state = advance(drive[step], state, weights, bias)
            for part, of_part in zip(state, norms, strict=True):
                hook_norms(part, of_part, step)
        state[0].mean(dim=(1, 2)).sum().backward()
        gradients = {name: leaf.grad for name, leaf in leaves.items()}
        return (torch.stack(norms).permute(2, 1, 0, 3),
                torch.stack([leaf.grad for leaf in start], 1), gradients)

    return run


def configure(options):
    if options.device == "cuda" and not torch.cuda.is_available():
        raise common.PeerError("--device cuda: PyTorch finds no usable GPU")
    torch.set_num_threads(options.threads)
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def about(options):
    device = torch.cuda.get_device_name() if options.device == "cuda" else "cpu"
    return {"version": torch.__version__, "device": device}


def wait(_, device):
    if device == "cuda":
        torch.cuda.synchronize()


TORCH = common.Library(
    name="PyTorch",
    peers={"tanh": {"bmm_hooks": bmm_hooks, "nn_rnn_loop": module_loop, "cell_hooks": cell_hooks},
           "lstm": {"bmm_hooks": bmm_hooks, "nn_lstm_loop": module_loop},
           "gru": {"bmm_hooks": bmm_hooks, "nn_gru_loop": module_loop}},
    configure=configure,
    about=about,
    put=lambda array, precision, device: torch.tensor(array, dtype=DTYPES[precision],
                                                      device=device),
    fetch=lambda tensor: tensor.cpu().numpy(),
    wait=wait,
)

if __name__ == "__main__":
    common.main(TORCH, __doc__)
