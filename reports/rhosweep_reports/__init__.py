"""Figures, tables and a page from a Rhosweep results database.

    load -> tables -> figures -> page

`load` gets tables from the program `rhosweep`, figures draw tables and know nothing of the
database, `page` puts everything into one file, `cli` is the command line.

For programs of your own: `read` gives what a database holds, `sweep` makes one.
"""

__all__ = ["read", "sweep"]


def read(path):
    """What a results database holds, by name of the table; pandas DataFrames where pandas is
    installed, else numpy record arrays. It needs no program but Python.

    seeds      a row per network and radius: cell, ensemble, hidden, steps, rho, g, seed,
               decay_rate, settings, and the steps at which number formats end
    profile    a row per curve and step: log10_norm_mean, log10_norm_min, log10_norm_max
    clip       a row per network, radius and norm that a sweep asked to clip gradients to: weight_ih,
               weight_hh, bias_ih, bias_hh, total, clip_coef, total_clipped; inf beyond 1e308
    gradients  a row per network and radius: log10_weight_ih and so on, the norms without that limit
    lyapunov   a row per network, radius and exponent: k (1 for the largest), exponent, standard_error,
               predicted (NaN where nothing is)
    singular   a row per network, radius, time and singular value of the Jacobians' product:
               at, k, log10_singular_value
    runs       a row per invocation
    timings    a row per case and run
    failures   a row per case that failed

    A table is read when it is asked for; missing numbers are NaN. Raises
    rhosweep_reports.errors.InputError for a file that is no such database.
    """
    from . import database

    return database.read(path)


def sweep(model=None, output=None, **options):
    """Runs `rhosweep sweep` and returns the tables of its database, as `read` does.

    model    path of an .npz file, or a network: a mapping of names to arrays or torch tensors, such
             as a state_dict, also with its own input [T, B, I] and h0 [B, H]; or a torch.nn.RNN
    output   path of the database, which keeps what it holds; None for one that goes with the tables
    options  those of `rhosweep sweep`, with _ for -: rho=np.linspace(0.5, 2, 16), seeds="0:9",
             profiles=False, clip=1.0

    Raises rhosweep_reports.errors.InputError for options that the program refuses, ReportError
    where it fails.
    """
    from . import program

    return program.sweep(model, output, **options)
