"""The figures: each draws the rows of tables into axes, and makes no queries.

To add one, write a function draw(axes, rows...) and an entry of FIGURES. It gets one table for each
name in `tables`, cut down to one picture's rows, and the keywords that `shared` makes of the whole
tables; it may raise Absent with a reason. It draws no title: what was run is told in the caption. What
goes where the finished layout has room is placed by a function that draw returns.
"""

from collections.abc import Callable
from dataclasses import dataclass

from .. import findings
from ..table import CELL, FAMILY, NETWORK
from . import bench, cells, flow, kinds, multiples, phase, scaling, seeds, weights


def _without(*columns):
    return tuple(column for column in NETWORK if column not in columns)


def _x(look, *_wholes):
    """What a user chose for the x axis."""
    return {"x": look.x}


def _shows_seeds(table, *others):
    return seeds.has_several_seeds(table) and flow.has_radii_or_is_plain(table, *others)


@dataclass(frozen=True)
class Figure:
    name: str
    title: str
    tables: tuple[str, ...]  # as the program and benchjson.py name them
    split: tuple[str, ...]  # a picture for each set of values of these columns
    draw: Callable
    caption: str
    asked: Callable = lambda *_parts: True  # whether the rows call for it; else nobody misses it
    # Keywords of draw for all pictures of a report: limits that they share, and what a user chose.
    shared: Callable = lambda _look, *_wholes: {}
    # Lines that tell what was run: of the first table's rows.
    describe: Callable = findings.describe


FIGURES = (
    Figure("cells", "Decay rates of cells side by side", ("decay",), _without(*CELL), cells.cells,
           "Mean over seeds with its 95% interval (Student's t); above 0 gradients vanish, below they "
           "explode. ρ of LSTM and GRU is the spectral radius of the candidate's block; the gradient "
           "of an LSTM is that of the pair (h, c). Predictions are those of the decay table.",
           cells.has_several_cells, describe=findings.describe_at_radius),
    Figure("cell-profiles", "Gradient norm of cells side by side", ("profile",), _without(*CELL),
           cells.cell_profiles,
           "Norm of dL/dh_t, for an LSTM of the pair dL/d(h_t, c_t), as the mean over the batch of its "
           "log10; lines are medians over seeds, bands reach from the 10% to the 90% quantile. The loss "
           "is at the left. Dotted: where gradients of a number format, spread evenly over the units, "
           "become 0 or infinite.",
           cells.has_cells_at_one_radius, describe=findings.describe_at_radius),
    Figure("gate-bias", "Decay rate against the bias of the memory gate", ("decay",),
           _without("cell", "gate_bias"), cells.against("gate_bias"),
           "The bias of an LSTM's forget gate or a GRU's update gate, the sum of bias_ih and bias_hh. "
           "Mean over seeds with its 95% interval (Student's t). Filled: drawn as PyTorch does, and "
           "chrono initialisation, ln U(1, TMAX - 1) with its TMAX. Dashed: the rate of a gate that its "
           "bias alone opens, which is exact where W_hh and the input are 0.",
           cells.has_several("gate_bias"), describe=findings.describe_at_radius),
    Figure("leak", "Decay rate against the leak", ("decay",), _without("cell", "leak"),
           cells.against("leak"),
           "Cells with h_t = (1 - A) h_(t-1) + A phi(a_t). Mean over seeds with its 95% interval "
           "(Student's t). Dashed: the rate of a unit that only leaks, which is exact where W_hh is "
           "0.", cells.has_several("leak"), describe=findings.describe_at_radius),
    Figure("rate", "Decay rate against spectral radius", ("decay",), FAMILY, flow.rate,
           "Mean over seeds with its 95% interval (Student's t); above 0 gradients vanish, below "
           "they explode. Predictions and bounds are those of the decay table: no gradient can shrink "
           "more slowly than the largest singular value allows. Strokes across the zero line: "
           "critical radius, linear between the two rows around it. ρ of LSTM and GRU is the spectral "
           "radius of the candidate's block.", flow.has_radii_or_is_plain),
    Figure("profile", "Gradient norm against time step", ("profile",), NETWORK, flow.profile,
           "|dL/dh_t|, the mean over the batch of its log10; lines are means over seeds, bands reach "
           "from the least to the greatest seed. Of an LSTM the pair (h, c), and below it each by "
           "itself, the other held fixed. The loss is at the right. Dotted: where gradients "
           "of a number format, spread evenly over the units, become 0 or infinite."),
    Figure("heatmap", "Gradient norm over radius and steps back", ("profile",), NETWORK,
           flow.heatmap,
           "log10 of |dL/dh_t|, mean over seeds and batch. The line is where a gradient is 1e-3 of "
           "what it is at the loss. Grey: not finite.", flow.has_radii_or_is_plain),
    Figure("horizon", "How far back gradients reach", ("decay", "profile"), NETWORK, flow.horizon,
           "Steps back from the loss until the gradient is 1e-3 of its start (median over seeds, "
           "band from the least to the greatest) and until the first seed's gradients leave the "
           "range of a number format. No mark: not within the recorded steps.",
           flow.has_radii_or_is_plain),
    Figure("growing", "Fraction of seeds whose gradient grows", ("decay",), FAMILY, flow.growing,
           "Part of the seeds with a decay rate below 0.", flow.has_radii_or_is_plain),
    Figure("clipping", "Gradient norm before and after clipping", ("clip",), NETWORK,
           weights.clipping,
           "Norm of the gradient of all weights and biases, before and after it is scaled down to "
           "the threshold (dotted) as PyTorch's clip_grad_norm_ does; lines are medians over the "
           "networks, bands reach from the 10% to the 90% quantile. Below: the fraction of networks "
           "whose gradient is scaled down, and is not finite where any is."),
    Figure("gradients", "Gradient of W_hh and of the first state", ("clip", "profile"), NETWORK,
           weights.gradients,
           "Norms of dL/dW_hh and of dL/dh_1 (the mean over the batch of its log10), T - 1 steps "
           "back from the loss; lines are medians over the networks, bands reach from the 10% to "
           "the 90% quantile. Dotted: where dL/dW_hh in a number format, spread evenly over its "
           "elements, becomes 0 or infinite."),
    Figure("phase", "Where gradients vanish and where they explode, over noise", ("decay", "critical"),
           _without("input"), phase.phase,
           "Colours: decay rate, mean over seeds; they end at the ends of their bar. Circles: where the "
           "decay rate is 0, linear between two radii, with its 95% interval (bootstrap over seeds); a bar "
           "that reaches the edge has no end there. Dashed: mean-field theory for infinitely many units, "
           "as far as it holds. Dotted: where gradients of linear cells keep their norm. Grey: no rate.",
           phase.has_levels, _x),
    Figure("multiples", "Decay rates of all networks", ("decay", "critical"), kinds.OTHERS,
           multiples.multiples,
           "A panel for each kind of network and size, with the others pale behind it. Points: mean over "
           "seeds with its 95% interval (Student's t). Blue areas: gradients vanish; vermilion: they "
           "explode. Line: prediction of the decay table. Diamond: where the decay rate is 0, with its 95% "
           "interval (bootstrap over seeds) as a thick line; one that reaches the edge has no end there. "
           "Where not all panels fit, it says how many are shown.", multiples.has_several_panels, _x),
    Figure("scaling", "Critical point against the number of units", ("critical",), kinds.OTHERS,
           scaling.scaling,
           "Where the decay rate, a mean over seeds, is 0, with its 95% interval (bootstrap over seeds); an "
           "arrow at the edge: the swept radii do not bound it. Kinds of networks are moved apart a little. "
           "Line: mean-field theory for infinitely many units.", scaling.has_several_sizes, _x),
    Figure("seeds", "Decay rates of single networks", ("seeds", "decay", "critical"), NETWORK, seeds.seeds,
           "Circles: networks whose gradients vanish; triangles: whose gradients explode; of more than "
           f"{seeds.MARKS} networks a histogram. Diamonds: mean over seeds with its 95% interval (Student's "
           "t). Lines: prediction of the decay table. The radii are the nearest to where the decay rate is "
           "0, or comes nearest to it.", _shows_seeds, _x),
    *(Figure(f"time-{axis}", f"Time against {axis}", ("bench",), bench.KIND,
             bench.time_against(axis),
             "Forward and backward pass with norms, per column (one sample at one radius) and "
             "step; median of the repetitions. " + bench.CHOICE[axis], describe=bench.describe)
      for axis in bench.AXES),
    *(Figure(f"speedup-{axis}", f"Speed-up against {axis}", ("bench",), bench.KIND,
             bench.speedup_against(axis),
             "Time of the one named over the time of ours, at the same shape; 1 is equal. "
             + bench.CHOICE[axis], describe=bench.describe)
      for axis in bench.AXES),
    Figure("roofline", "Roofline", ("bench",), ("device", "threads"), bench.roofline,
           "Floating-point rate against operations per byte of state, input and norms moved; a "
           "mark for each shape timed, open for f32 and filled for f64, in the colour of its cell where "
           "LSTM or GRU was timed too. Ceilings measured on the "
           "same device: fused multiply-adds in registers, and a triad (on a GPU, a copy) through "
           "memory.", describe=bench.describe),
    Figure("threads", "Scaling with threads", ("bench",), (*bench.KIND, "device"), bench.threads,
           "Rate relative to that of the fewest threads measured; the dashed line is in "
           "proportion.", describe=bench.describe),
)
