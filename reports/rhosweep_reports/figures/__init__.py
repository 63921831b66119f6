"""The figures: each draws the rows of tables into axes, and makes no queries.

To add one, write a function draw(axes, rows...) and an entry of FIGURES. It gets one table for each
name in `tables`, cut down to one picture's rows, and the keywords that `shared` makes of the whole
tables; it may raise Absent with a reason. It draws no title: what was run is told in the caption. What
goes where the finished layout has room is placed by a function that draw returns.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from .. import findings
from ..table import CELL, FAMILY, NETWORK
from . import bench, cells, flow, kinds, multiples, phase, profiles, scaling, seeds, weights


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


FIGURES = (
    Figure("cells", "Decay rates of cells side by side", ("decay",), _without(*CELL), cells.cells,
           "Mean over seeds with its 95% interval (Student's t); above 0 gradients vanish, below they "
           "explode. ρ of LSTM and GRU is the spectral radius of the candidate's block; the gradient "
           "of an LSTM is that of the pair (h, c). Thin green lines: predictions of the decay table.",
           cells.has_several_cells, _x, describe=findings.describe_at_radius),
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
           "chrono initialisation, ln U(1, TMAX - 1) with its TMAX. Green: the rate of a gate that its "
           "bias alone opens, which is exact where W_hh and the input are 0.",
           cells.has_several("gate_bias"), describe=findings.describe_at_radius),
    Figure("leak", "Decay rate against the leak", ("decay",), _without("cell", "leak"),
           cells.against("leak"),
           "Cells with h_t = (1 - A) h_(t-1) + A phi(a_t). Mean over seeds with its 95% interval "
           "(Student's t). Green: the rate of a unit that only leaks, which is exact where W_hh is "
           "0.", cells.has_several("leak"), describe=findings.describe_at_radius),
    Figure("rate", "Decay rate against spectral radius", ("decay", "critical"), FAMILY, flow.rate,
           "Points: mean over seeds with its 95% interval (Student's t); above 0 gradients vanish, below "
           "they explode. Solid lines: predictions of the decay table, where they hold. Dotted: linear "
           "cells. Diamond and bar: critical point of the largest network that has one, and its "
           "95% interval (bootstrap over seeds). ρ of LSTM and GRU is the spectral radius of the "
           "candidate's block.", flow.has_radii_or_is_plain, flow.share_rates),
    Figure("profile", "Gradient norm against steps back from the loss", ("profile", "critical"), NETWORK,
           profiles.profile,
           "Norm of dL/dh_t, the mean over the batch of its log10; lines are means over seeds, bands reach "
           "from the least to the greatest seed. Of an LSTM the pair (h, c), and below it each by "
           "itself, the other held fixed. Of more than five radii, the one nearest to the critical radius "
           "ρ* (bold) and others whose ends are spread. Thin line: the norm at the loss. "
           "Dotted: where gradients of a number format, spread evenly over the units, underflow or overflow "
           "(bf16 overflows where fp32 does)."),
    Figure("heatmap", "Gradient norm over spectral radius and steps back", ("profile", "critical"), NETWORK,
           profiles.heatmap,
           "Norm of dL/dh_t relative to that at the loss: mean over seeds and batch of log10. Colours end at "
           "the ends of the bar. Solid lines: a thousandth and a thousand times the norm at the loss; dashed: "
           "critical point (table critical). Grey: not finite.",
           flow.has_radii_or_is_plain, _x),
    Figure("horizon", "How far back gradients reach", ("decay", "profile"), NETWORK, profiles.horizon,
           "Steps back from the loss until the gradient is 1e-3 of its start (median over seeds, "
           "band from the least to the greatest) and until the first seed's gradients leave the "
           "range of a number format. No mark: not within the recorded steps T.",
           flow.has_radii_or_is_plain, _x),
    Figure("growing", "Fraction of seeds whose gradient grows", ("decay",), FAMILY, flow.growing,
           "Fraction of seeds with a decay rate below 0, and its 95% interval (Wilson), over the radii where "
           "it changes.", flow.has_radii_or_is_plain, _x),
    Figure("clipping", "Gradient norm before and after clipping", ("clip",), NETWORK,
           weights.clipping,
           "Norm of the gradient of all weights and biases, before and after it is scaled down to "
           "the threshold (dotted) as PyTorch's clip_grad_norm_ does; lines are medians over the "
           "networks, bands reach from the 10% to the 90% quantile. Below: the fraction of networks "
           "whose gradient is scaled down and, where there are any, of those whose gradient is not finite.",
           shared=_x),
    Figure("gradients", "Gradient of W_hh and of the first state", ("clip", "profile"), NETWORK,
           weights.gradients,
           "Norms of dL/dW_hh and of dL/dh_1 (the mean over the batch of its log10), T - 1 steps "
           "back from the loss; lines are medians over the networks, bands reach from the 10% to "
           "the 90% quantile. Dotted: where dL/dW_hh in a number format, spread evenly over its "
           "elements, becomes 0 or infinite.", shared=_x),
    Figure("phase", "Where gradients vanish and where they explode, over noise", ("decay", "critical"),
           _without("input"), phase.phase,
           "Colours: decay rate, mean over seeds; they end at the ends of their bar. Circles: where the "
           "decay rate is 0, linear between two radii, with its 95% interval (bootstrap over seeds); a bar "
           "that reaches the edge has no end there. Dashed: mean-field theory for infinitely many units, "
           "drawn where it was checked: with iid weights and fewer than 256 units, from σ = 0.5 on. Dotted: where gradients of linear cells keep their norm. Grey: no rate.",
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
    Figure("speedup", "Time compared with Rhosweep's", ("bench",),
           ("precision", "gradients", "compared_with"), bench.speedup,
           "How many times as long others take for the same shape, forward and backward pass: H units, B "
           "samples, T steps. Bars are medians over the runs, whiskers reach from the least to the "
           "greatest; what ran in turns with ours is compared within each round. Of one CPU, with the most "
           "threads. " + bench.RIVALS + " "
           + bench.GREY, bench.has_rivals, bench.share_room, bench.describe, ("cell",)),
    Figure("time", "Time per column and step", ("bench",), ("precision", "gradients"), bench.time,
           "Forward and backward pass, per column (one sample at one radius) and step: H units, B samples, "
           "T steps. Medians over the runs, whiskers from the least to the greatest; of one CPU, with the "
           "most threads. " + bench.RIVALS + " " + bench.GREY, shared=bench.share_room,
           describe=bench.describe, split_in_talk=("cell",)),
    *(Figure(f"time-{axis}", f"Time against {axis}", ("bench",), bench.KIND, bench.time_over(axis),
             "Forward and backward pass, per column (one sample at one radius) and step; medians over the "
             f"runs, strokes from the least to the greatest. Lines join shapes that differ in {axis} "
             "alone. " + bench.RIVALS, bench.has_times_over(axis), describe=bench.describe)
      for axis in bench.AXES),
    *(Figure(f"speedup-{axis}", f"Time compared with Rhosweep's against {axis}", ("bench",),
             (*bench.KIND, "compared_with"), bench.speedup_over(axis),
             "How many times as long others take for the same shape; medians over the runs, strokes from "
             f"the least to the greatest. Lines join shapes that differ in {axis} alone. " + bench.RIVALS,
             bench.has_speedups_over(axis), describe=bench.describe)
      for axis in bench.AXES),
    Figure("roofline", "Roofline", ("bench",), ("device", "threads"), bench.roofline,
           "Floating-point rate against operations per byte of state, input and norms moved; a "
           "mark for each shape timed, open for f32 and filled for f64, darker for more units H, or in the "
           "colour of its cell where LSTM or GRU was timed too. Ceilings measured on the "
           "same device: fused multiply-adds in registers, and a triad (on a GPU, a copy) through "
           "memory.", describe=bench.describe),
    Figure("threads", "Scaling with threads", ("bench",), (*bench.KIND, "device"), bench.threads,
           "Median time with the fewest threads over the time with more, strokes from the least to the "
           "greatest; dashed: in proportion to the threads.", describe=bench.describe),
)
