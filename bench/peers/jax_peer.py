"""What a JAX user would write for the norms of dL/dh_t over many spectral radii, timed.

The peers, each compiled whole by jax.jit:

    jax_vmap_grad   vmap over the radii of grad of scan. dL/dh_t is the gradient with respect to a
                    zero that is added to h_t, and an LSTM's dL/dc_t likewise; norms are taken when
                    all are there.
    jax_shared_w0   of tanh units: the backward pass written by hand, as a scan: one product with W0
                    per step for all radii, forward and back, and the norms taken as the gradients
                    are made.

Both do the work of one of our runs and no more: dL/dh_t, per sample norms summed in double, and no
gradients of weights unless --weight-gradients asks for them: then those of every radius, which
jax_shared_w0 adds up in the backward scan (faster on a CPU than one product over all steps after
it). Drawing and scaling the weights and compiling is not timed; the input's product with weight_ih
is. fp32 products have the precision "highest", which on a GPU rules out TF32. On a CPU, XLA takes
subnormal numbers for 0: norms below 1e-38 come out as 0 there, and its arithmetic is never slowed
down by them. Options and output: common.py.
"""

import os

import jax
import jax.numpy as jnp
from jax import lax

import common

DTYPES = {"f32": jnp.float32, "f64": jnp.float64}


def norms_of(gradients):
    """Over the last axis, summed in double."""
    return jnp.sqrt(jnp.sum(jnp.square(gradients.astype(jnp.float64)), axis=-1))


def drive_of(weights, x, cell="tanh"):
    """weight_ih x_t + bias [T][B][K H]; the same at every radius. A GRU's bias_hh belongs to the
    product with h."""
    bias = weights["bias_ih_l0"] + (0 if cell == "gru" else weights["bias_hh_l0"])
    return x @ weights["weight_ih_l0"].T + bias


def tanh_step(weights, drive, h):
    return (jnp.tanh(h @ weights["weight_hh_l0"].T + drive),)


def lstm_step(weights, drive, h, c):
    i, f, g, o = jnp.split(h @ weights["weight_hh_l0"].T + drive, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def gru_step(weights, drive, h):
    r, z, n = jnp.split(h @ weights["weight_hh_l0"].T + weights["bias_hh_l0"], 3, axis=-1)
    drive_r, drive_z, drive_n = jnp.split(drive, 3, axis=-1)
    n = jnp.tanh(drive_n + jax.nn.sigmoid(drive_r + r) * n)
    z = jax.nn.sigmoid(drive_z + z)
    return ((1 - z) * n + z * h,)


STEPS = {"tanh": tanh_step, "lstm": lstm_step, "gru": gru_step}


def split(task):
    """The weights and the input."""
    weights = dict(task.arrays)
    return weights, weights.pop("input")


def named(gradients=None):
    """By the names of common.GRADIENTS; none where none are asked for."""
    return gradients and {name: gradients[name + "_l0"] for name in common.GRADIENTS}


def jax_vmap_grad(task):
    shape, advance = task.shape, STEPS[task.cell]
    states = len(common.CELLS[task.cell].states)
    weights, x = split(task)
    scales = jnp.array(task.scales, task.dtype)
    stacked = weights | {"weight_hh_l0": scales[:, None, None] * weights["weight_hh_l0"]}
    axes = dict.fromkeys(weights) | {"weight_hh_l0": 0}

    def last_mean(bumps, weights, x):
        def step(state, given):
            drive, bump = given
            return tuple(map(jnp.add, advance(weights, drive, *state), bump)), None

        start = tuple(jnp.zeros_like(bump[0]) for bump in bumps)
        (last, *_), _ = lax.scan(step, start, (drive_of(weights, x, task.cell), bumps))
        return last.mean()

    gradients_of = jax.grad(last_mean, argnums=(0, 1) if task.weight_gradients else (0,))

    def one_radius(weights, x):
        bump = jnp.zeros((shape.steps, shape.batch, shape.hidden), x.dtype)
        deltas, *others = gradients_of((bump,) * states, weights, x)
        return jnp.stack(list(map(norms_of, deltas)), 1), None, named(*others)

    run = jax.jit(jax.vmap(one_radius, in_axes=(axes, None)))
    return lambda: run(stacked, x)


def add_gradients(sums, behind_tanh, before, x):
    """One step's part of the weights' gradients, by the names of common.GRADIENTS."""
    bias = behind_tanh.sum(1)
    step = {"weight_ih": jnp.einsum("rbi,bj->rij", behind_tanh, x),
            "weight_hh": jnp.einsum("rbi,rbj->rij", behind_tanh, before),
            "bias_ih": bias, "bias_hh": bias}
    return {name: sums[name] + step[name] for name in common.GRADIENTS}


def jax_shared_w0(task):
    shape = task.shape
    weights, x = split(task)
    scales = jnp.array(task.scales, task.dtype)[:, None, None]
    columns = (shape.radii, shape.batch, shape.hidden)

    def product(states, weight):
        """`states` [R][B][H], all radii's rows at once, times weight [H][H]."""
        return (states.reshape(-1, shape.hidden) @ weight).reshape(columns)

    def both_passes(weights, scales, x):
        w0 = weights["weight_hh_l0"]

        def forward(state, drive):
            state = jnp.tanh(scales * product(state, w0.T) + drive)
            return state, state

        def backward(carried, given):
            (delta, sums), (state, *factors) = carried, given
            behind_tanh = (1 - state * state) * delta
            if task.weight_gradients:
                sums = add_gradients(sums, behind_tanh, *factors)
            return (scales * product(behind_tanh, w0), sums), norms_of(delta)

        start = jnp.zeros(columns, x.dtype)
        _, states = lax.scan(forward, start, drive_of(weights, x))
        last = jnp.full(columns, 1 / (shape.batch * shape.hidden), x.dtype)
        given, sums = (states,), None
        if task.weight_gradients:
            given = (states, jnp.concatenate([start[None], states[:-1]]), x)
            sums = {name: jnp.zeros((shape.radii, *weights[name + "_l0"].shape), x.dtype)
                    for name in common.GRADIENTS}
        (_, sums), norms = lax.scan(backward, (last, sums), given, reverse=True)
        return norms.swapaxes(0, 1)[:, :, None], None, sums

    run = jax.jit(both_passes)
    return lambda: run(weights, scales, x)


def configure(options):
    os.environ["NPROC"] = str(options.threads)  # of XLA on a CPU, as its backend starts
    if options.device == "cpu":
        jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_default_matmul_precision", "highest")
    try:
        jax.devices(options.device)
    except RuntimeError:
        raise common.PeerError(f"--device {options.device}: JAX finds none to use") from None


def about(options):
    device = "cpu" if options.device == "cpu" else jax.devices()[0].device_kind
    return {"version": jax.__version__, "device": device}


JAX = common.Library(
    name="JAX",
    peers={"tanh": {"jax_vmap_grad": jax_vmap_grad, "jax_shared_w0": jax_shared_w0},
           "lstm": {"jax_vmap_grad": jax_vmap_grad},
           "gru": {"jax_vmap_grad": jax_vmap_grad}},
    configure=configure,
    about=about,
    put=lambda array, precision, device: jnp.array(array, DTYPES[precision]),
    fetch=jax.device_get,
    wait=lambda computed, device: jax.block_until_ready(computed),
)

if __name__ == "__main__":
    common.main(JAX, __doc__)
