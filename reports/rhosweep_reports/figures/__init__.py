"""The figures: each draws the rows of tables into axes, and makes no queries.

To add one, write a function draw(axes, rows...) and an entry of FIGURES. It gets one table for each
name in `tables`, cut down to one picture's rows, and the keywords that `shared` makes of the whole
tables; it may raise Absent with a reason. It draws no title: what was run is told in the caption. What
goes where the finished layout has room is placed by a function that draw returns.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from .. import findings
from ..text import math as formula
from ..table import CELL, FAMILY, NETWORK
from . import bench, cells, flow, kinds, lyapunov, multiples, phase, profiles, scaling, seeds, weights, workers
from .drawing import gradient_norm


def _without(*columns):
    return tuple(column for column in NETWORK if column not in columns)


def _x(look, *_wholes):
    """What a user chose for the axis of radii; without it a figure takes its own."""
    return {"x": look.x} if look.x else {}


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
    split_in_talk: tuple[str, ...] = ()  # more columns, for pictures that a slide has room for

    def of(self, look):
        """Named for the axis that a user chose, and split as the style needs it."""
        title = self.title.replace("spectral radius", "coupling g") if look.x == "g" else self.title
        split = (*self.split, *self.split_in_talk) if look.style == "talk" else self.split
        return replace(self, title=title, split=split)


# Sentences of several captions.
MEANS = "mean over seeds with 95% interval (Student's t)"
SIGN = "Gradients vanish above 0 and explode below."
GATED = "For LSTM and GRU, ρ is the spectral radius of the candidate block."
QUANTILES = "Lines: medians over the networks; bands (at a single radius, bars): 10% to 90% quantiles."
NORM = f"Norm {gradient_norm('h_t')}"
LOG10 = formula(r"\log_{10}")
RECURRENT = formula("W_{hh}")
CHRONO = formula(r"\ln\,U(1,\,T_{max}-1)")
LEAKY = formula(r"h_t=(1-A)\,h_{t-1}+A\,\phi(a_t)")
PRODUCT = formula(r"J_T\cdots J_1")
FORMATS = ("Dotted: norms at which the gradient, spread evenly over the units, underflows or overflows in a "
           "number format.")
CLIPPED = "Values beyond the colour bar have the colour of its end."

FIGURES = (
    Figure("cells", "Decay rates of cells side by side", ("decay",), _without(*CELL), cells.cells,
           f"Points: {MEANS}. {SIGN} {GATED} The gradient of an LSTM is that of the pair (h, c). Thin green "
           "lines: predictions from the decay table, where a law applies.",
           cells.has_several_cells, _x, describe=findings.describe_at_radius),
    Figure("cell-profiles", "Gradient norm of cells side by side", ("profile",), _without(*CELL),
           cells.cell_profiles,
           f"{NORM} (for an LSTM, {gradient_norm('(h_t,c_t)')}): batch mean of its {LOG10}. {QUANTILES} The "
           f"loss is at the left. {FORMATS}",
           cells.has_cells_at_one_radius, describe=findings.describe_at_radius),
    Figure("gate-bias", "Decay rate against the bias of the memory gate", ("decay",),
           _without("cell", "gate_bias"), cells.against("gate_bias"),
           "Bias of an LSTM's forget gate or a GRU's update gate: the sum of bias_ih and bias_hh. "
           f"Points: {MEANS}. Filled marks: biases drawn as in PyTorch, and chrono initialisation, "
           f"{CHRONO}, with its {formula('T_{max}')}, offset sideways so that none "
           "hides another. Green: the rate if the gate depended on its bias alone; exact where "
           f"{RECURRENT} and the input are 0.",
           cells.has_several("gate_bias"), describe=findings.describe_at_radius),
    Figure("leak", "Decay rate against the leak", ("decay",), _without("cell", "leak"),
           cells.against("leak"),
           f"Leaky cells: {LEAKY}. Points: {MEANS}. Green: the rate of a "
           f"unit without recurrent input; exact where {RECURRENT} is 0.",
           cells.has_several("leak"), describe=findings.describe_at_radius),
    Figure("rate", "Decay rate against spectral radius", ("decay", "critical"), FAMILY, flow.rate,
           f"Points: {MEANS}. {SIGN} Solid lines: predictions from the decay table, where a "
           "law applies. Dotted: linear cells. Diamond and bar: critical point of the largest network that has "
           f"one, with its 95% interval (bootstrap over seeds). {GATED}",
           flow.has_radii_or_is_plain, flow.share_rates),
    Figure("profile", "Gradient norm against steps back from the loss", ("profile", "critical"), NETWORK,
           profiles.profile,
           f"{NORM}: batch mean of its {LOG10}. Lines: means over seeds; bands: range over seeds. "
           "For an LSTM: the pair (h, c), and below it each of the two with the other held fixed. If more "
           "than five radii were swept: the one closest to the critical radius ρ* (bold), and others chosen "
           "to spread the curves. Thin line: the norm at the loss. "
           f"{FORMATS} (bf16 overflows where fp32 does.)"),
    Figure("heatmap", "Gradient norm over spectral radius and steps back", ("profile", "critical"), NETWORK,
           profiles.heatmap,
           f"{NORM} relative to its value at the loss: mean over seeds and batch of its {LOG10}. "
           f"{CLIPPED} Solid lines: 1/1000 and 1000 times the norm at the loss. Dashed: critical point "
           "(table critical). Grey: not finite.",
           flow.has_radii_or_is_plain, _x),
    Figure("horizon", "How far back gradients reach", ("decay", "profile"), NETWORK, profiles.horizon,
           "Steps back from the loss until the gradient falls to 1/1000 of its norm there (median over "
           "seeds; band: range over seeds), and until the gradient of any seed leaves the range of a "
           "number format. No mark: not within the T recorded steps.",
           flow.has_radii_or_is_plain, _x),
    Figure("growing", "Fraction of seeds whose gradient grows", ("decay",), FAMILY, flow.growing,
           "Fraction of seeds with a negative decay rate, with its 95% interval (Wilson), over the radii at "
           "which it changes. Sizes are offset slightly for legibility.", flow.has_radii_or_is_plain, _x),
    Figure("clipping", "Gradient norm before and after clipping", ("clip",), NETWORK,
           weights.clipping,
           "Norm of the gradient of all weights and biases, before and after scaling it down to the "
           f"threshold (dotted) as PyTorch's clip_grad_norm_ does. {QUANTILES} Lower panel: fraction of "
           "networks whose gradient is scaled down and, if there are any, of networks whose gradient is not "
           "finite.", shared=_x),
    Figure("gradients", "Gradient of W_hh and of the first state", ("clip", "profile"), NETWORK,
           weights.gradients,
           f"Norms {gradient_norm('W_{hh}')} and {gradient_norm('h_1')} (batch mean of its {LOG10}), "
           f"{formula('T-1')} steps back from the loss. {QUANTILES} Dotted: norms at which the gradient of "
           f"{RECURRENT}, spread evenly over its elements, underflows or overflows in a number format.", shared=_x),
    Figure("spectrum", "Lyapunov spectrum", ("lyapunov",), NETWORK, lyapunov.spectrum,
           "All exponents that were measured, the largest first. Lines: means over seeds; bands: range over "
           "seeds. Dashed: prediction, logarithms of the moduli of the Jacobian's eigenvalues (linear cells). "
           "Inset, if exponents above 0 are small beside the others: these, enlarged. A line ends where "
           f"directions are lost (units of relu that are off). {GATED}", describe=findings.describe_at_radius),
    Figure("lyapunov", "Largest Lyapunov exponent and decay rate against spectral radius",
           ("lyapunov-summary", "seeds"), NETWORK, lyapunov.lyapunov,
           "Circles: largest Lyapunov exponent, from tangents carried forward; line and band: minus the decay "
           f"rate, from gradients carried back through the same steps; each {MEANS}. Lower panel: their "
           f"difference in each network, {MEANS}. {GATED}", shared=_x),
    Figure("dimension", "Kaplan-Yorke dimension and entropy rate", ("lyapunov-summary",),
           FAMILY, lyapunov.dimension,
           f"Per unit. Points: {MEANS}. Open diamonds (undriven tanh cells): one network of N = 4096 units at "
           "each g, from the data of github.com/davidclark1/rnn-lyapunov.", lyapunov.has_dimensions, _x),
    Figure("singular", "Singular values of the Jacobians' product", ("singular",), NETWORK, lyapunov.singular,
           f"Singular values of {PRODUCT}, the derivative of the state after T steps by the first: means over "
           f"seeds of their {LOG10}, by order: the largest, those that 10%, 50% and 90% of all are above, and the "
           "smallest. Dashed: root mean square (rms), which is the gradient's norm for a loss of random "
           "direction. A line ends where a value is 0. If more than three radii were swept: three of them.",
           lyapunov.has_times, describe=findings.describe_at_radius),
    Figure("phase", "Where gradients vanish and where they explode, over noise", ("decay", "critical"),
           _without("input"), phase.phase,
           f"Colours: decay rate, mean over seeds. {CLIPPED} Circles: where the decay rate crosses 0, "
           "by linear interpolation between radii, with its 95% interval (bootstrap over seeds); an interval "
           "that reaches the edge is unbounded on that side. Dashed: mean-field theory for infinitely many units, "
           "drawn where it was checked (for iid weights and fewer than 256 units: from σ = 0.5 on). Dotted: "
           "critical point of linear cells. Grey: no rate.",
           phase.has_levels, _x),
    Figure("multiples", "Decay rates of all networks", ("decay", "critical"), kinds.OTHERS,
           multiples.multiples,
           "A panel for each kind of network and size, with the others in pale colours. Points: "
           f"{MEANS}. Blue areas: gradients vanish; vermilion: they explode. Line: prediction from "
           "the decay table, where a law applies. Diamond: where the decay rate crosses 0, with its 95% interval (bootstrap over "
           "seeds) as a thick line; an interval that reaches the edge is unbounded on that side. If not all panels "
           "fit, a note says how many are shown.", multiples.has_several_panels, _x),
    Figure("scaling", "Critical point against the number of units", ("critical",), kinds.OTHERS,
           scaling.scaling,
           "Where the mean decay rate over seeds crosses 0, with its 95% interval (bootstrap over seeds); an "
           "arrow at the edge: the swept radii do not bound the interval. Kinds of network are offset "
           "slightly for legibility. Line: mean-field theory for infinitely many "
           "units.", scaling.has_several_sizes, _x),
    Figure("seeds", "Decay rates of single networks", ("seeds", "decay", "critical"), NETWORK, seeds.seeds,
           "Circles: networks whose gradients vanish; triangles: networks whose gradients explode; a "
           f"histogram for more than {seeds.MARKS} networks. Diamonds: {MEANS}. Green strokes: prediction "
           "from the decay table, where a law applies. The radii shown are those around the zero crossing of the decay rate, or "
           "where it comes closest to 0.", _shows_seeds, _x),
    Figure("speedup", "Run time relative to Rhosweep", ("bench",),
           ("precision", "gradients", "compared_with"), bench.speedup,
           "Run time divided by Rhosweep's for the same shape, forward and backward pass: H units, B "
           "samples, T steps. Bars: medians over the runs; whiskers: fastest to slowest run. Programs that "
           "took turns with Rhosweep are compared round by round. CPU times are with the most threads "
           f"timed. {bench.RIVALS} {bench.GREY}",
           bench.has_rivals, bench.share_room, bench.describe, ("cell",)),
    Figure("time", "Time per column and step", ("bench",), ("precision", "gradients"), bench.time,
           "Forward and backward pass, per column (one sample at one radius) and step: H units, B samples, "
           "T steps. Marks: medians over the runs; whiskers: fastest to slowest run. CPU times are with the "
           f"most threads timed. {bench.RIVALS} {bench.GREY}", shared=bench.share_room,
           describe=bench.describe, split_in_talk=("cell",)),
    *(Figure(f"time-{axis}", f"Time against {axis}", ("bench",), bench.KIND, bench.time_over(axis),
             "Forward and backward pass, per column (one sample at one radius) and step. Marks: medians over "
             f"the runs; bars: fastest to slowest run. Lines join shapes that differ only in {axis}. "
             + bench.RIVALS, bench.has_times_over(axis), describe=bench.describe)
      for axis in bench.AXES),
    *(Figure(f"speedup-{axis}", f"Run time relative to Rhosweep against {axis}", ("bench",),
             (*bench.KIND, "compared_with"), bench.speedup_over(axis),
             "Run time divided by Rhosweep's for the same shape. Marks: medians over the runs; bars: fastest "
             f"to slowest run. Lines join shapes that differ only in {axis}. " + bench.RIVALS,
             bench.has_speedups_over(axis), describe=bench.describe)
      for axis in bench.AXES),
    Figure("roofline", "Roofline", ("bench",), ("device", "threads"), bench.roofline,
           "Floating-point rate against operations per byte of state, input and norms moved. One mark per "
           "shape timed: open for f32, filled for f64; darker for more units H, or coloured by cell if LSTM "
           "or GRU was timed too. Ceilings were measured on the same device: fused multiply-adds in "
           "registers, and a triad (on a GPU, a copy) through memory.", describe=bench.describe),
    Figure("threads", "Scaling with threads", ("bench",), (*bench.KIND, "device"), bench.threads,
           "Median time with the fewest threads divided by the time with more; bars: fastest to slowest run. "
           "Dashed: ideal (linear) scaling.", describe=bench.describe),
    Figure("workers", "Points per second against workers", ("workers",), ("device", "cores"), workers.workers,
           "Points (a network at one radius) per second of one sweep, by its own clock. Fake devices: every "
           "launch takes 10 ms, holds 16 points and takes no processor time, so that one planner and one "
           "writer are the limit. Threads and MPI ranks (of one thread each): the CPU engine on this machine's "
           "cores, without the start of processes. Marks: medians over the rounds; bars: slowest to fastest "
           "round. Dashed: ideal (linear) scaling; percentages: share of that, at 32 and 64.",
           describe=workers.describe),
)
