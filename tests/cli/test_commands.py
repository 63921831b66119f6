"""What the commands print when all is well."""

import json
import re

import numpy as np
import pytest

from conftest import SMALL, rhosweep, succeed, sweep, table, table_text

PROFILE = ("cell ensemble hidden steps rho g seed state step log10_norm_mean log10_norm_min "
           "log10_norm_max").split()
DECAY = ("cell ensemble hidden steps rho g seeds decay_rate decay_rate_ci95 decay_rate_min "
         "decay_rate_max gain growing_fraction regime").split()
CRITICAL = ("cell ensemble hidden steps input rho_critical rho_critical_ci95_low "
            "rho_critical_ci95_high g_critical g_critical_ci95_low g_critical_ci95_high "
            "g_predicted").split()
SEEDS = "cell ensemble hidden steps rho g seed decay_rate".split()
THROUGHPUT = ("engine device hidden steps batch radii forward_ms backward_ms gflops "
              "column_steps_per_s").split()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return sweep(tmp_path_factory.mktemp("small") / "small.db", *SMALL)


@pytest.mark.parametrize(
    ("name", "columns"),
    [("profile", PROFILE), ("decay", DECAY), ("critical", CRITICAL), ("seeds", SEEDS),
     ("throughput", THROUGHPUT)],
)
def test_columns_of_the_contract(name, columns, small):
    header = table_text(name, small).splitlines()[0].split(",")
    assert [column for column in columns if column not in header] == []


def test_dead_samples_leave_the_mean_to_the_others(database):
    """Small relu networks, in which all units of a sample may be off."""
    sweep(database, "--cell", "relu", "--hidden", 8, "--steps", 20, "--batch", 8, "--rho", "0.5,1",
          "--seeds", "0:4", "--input", "noise:0.5", "--loss", "random")
    rows = table("profile", database)
    for row in rows:
        dead = float(row["zero_fraction"]) * 8
        assert dead == int(dead)
        assert (row["log10_norm_min"] == "-inf") == (dead > 0)
        assert (row["log10_norm_mean"] == "-inf") == (dead == 8)
    assert any(0 < float(row["zero_fraction"]) < 1 for row in rows)


def test_seeds_are_those_behind_the_decay_rates(small):
    networks = table("seeds", small)
    for row in table("decay", small):
        rates = [float(n["decay_rate"]) for n in networks if n["rho_asked"] == row["rho_asked"]]
        assert len(rates) == int(row["seeds"]) == int(row["attempts"]) == 3
        assert np.mean(rates) == pytest.approx(float(row["decay_rate"]), rel=1e-12)


def test_profile_has_every_step_of_every_curve(small):
    rows = table("profile", small)
    assert len(rows) == 3 * 3 * 40  # seeds, radii, steps
    keys = {(row["rho"], row["seed"], row["step"]) for row in rows}
    assert len(keys) == len(rows)
    for row in rows:
        low, mean, high = (float(row[f"log10_norm_{k}"]) for k in ("min", "mean", "max"))
        assert low <= mean <= high


def test_decay_has_a_row_per_radius_over_all_seeds(small):
    rows = table("decay", small)
    assert [float(row["rho"]) for row in rows] == pytest.approx([0.5, 1, 1.5], rel=1e-6)
    for row in rows:
        assert row["seeds"] == "3"
        low, mean, high = (float(row[k]) for k in ("decay_rate_min", "decay_rate", "decay_rate_max"))
        assert low <= mean <= high
        assert float(row["gain"]) == pytest.approx(np.exp(-mean), rel=1e-9)
        assert float(row["decay_rate_ci95"]) > 0


@pytest.mark.parametrize("name", ["decay", "profile", "throughput", "runs"])
def test_formats_say_the_same(name, small):
    rows = table(name, small)
    data = json.loads(table_text(name, small, "json"))
    assert len(data) == len(rows)
    assert list(data[0]) == list(rows[0])
    markdown = table_text(name, small, "md").strip().splitlines()
    assert len(markdown) == len(rows) + 2
    assert set(markdown[1]) <= set("|-: ")
    latex = table_text(name, small, "latex")
    kind = "longtable" if len(rows) > 40 else "tabular"
    for word in (rf"\begin{{{kind}}}", r"\toprule", r"\midrule", r"\bottomrule", rf"\end{{{kind}}}"):
        assert word in latex


def test_help_and_version():
    for command in ([], ["sweep"], ["table"], ["report"], ["inspect"]):
        text = succeed(*command, "--help")
        assert "Usage: rhosweep" in text
    help_text = succeed("sweep", "--help")
    for option in ("--rho", "--hidden", "--steps", "--seeds", "--ensemble", "--output", "--raw",
                   "--clip"):
        assert option in help_text
    assert re.match(r"rhosweep \d+\.\d+\.\d+", succeed("--version"))


def test_devices_names_the_engines():
    text = succeed("devices")
    assert "cpu" in text and "reference" in text


def test_inspect_agrees_with_numpy(tmp_path):
    rng = np.random.default_rng(11)
    weight = rng.standard_normal((9, 9))
    np.savez(tmp_path / "model.npz", weight_hh_l0=weight)
    text = succeed("inspect", tmp_path / "model.npz")
    numbers = [float(n) for n in re.findall(r"(?<![\w.])\d+\.\d+(?:e[-+]\d+)?", text)]
    radius = np.abs(np.linalg.eigvals(weight)).max()
    largest = np.linalg.svd(weight, compute_uv=False)[0]
    for value in (radius, largest):
        assert any(abs(n / value - 1) < 1e-4 for n in numbers), (value, text)


def test_inspect_counts_what_is_not_finite(tmp_path):
    np.savez(tmp_path / "model.npz", weight_hh_l0=np.eye(2), spoilt=[1.0, np.nan, np.inf, -np.inf])
    text = succeed("inspect", tmp_path / "model.npz")
    said = re.findall(r"(\w+) .* (all finite|\d of \d NOT FINITE)", text)
    assert said == [("weight_hh_l0", "all finite"), ("spoilt", "3 of 4 NOT FINITE")]


def test_runs_keeps_the_provenance(small):
    (row,) = table("runs", small)
    everything = " ".join(row.values())
    assert "--seeds" in everything and "1:3" in everything


def test_same_command_again_changes_nothing(database):
    sweep(database, *SMALL)
    before = table_text("profile", database)
    done = rhosweep("sweep", "-o", database, *SMALL)
    assert done.returncode == 0
    assert table_text("profile", database) == before


def test_command_line_wins_over_the_file(tmp_path, database):
    (tmp_path / "spec.ini").write_text(
        "[sweep]\n# a comment\nhidden = 8\nsteps = 20\nrho = 1,2\nseeds = 1\nquiet = yes\n"
    )
    succeed("sweep", tmp_path / "spec.ini", "-o", database, "--rho", "0.5")
    (row,) = table("decay", database)
    assert float(row["rho"]) == pytest.approx(0.5)
    assert [row[name] for name in ("hidden", "steps", "seeds")] == ["8", "20", "1"]


@pytest.mark.parametrize(
    ("asked", "reached"),
    [
        ("0.5:1.5:0.25", [0.5, 0.75, 1, 1.25, 1.5]),
        ("1:3", [1, 2, 3]),
        ("0.1:0.3:0.1", [0.1, 0.2, 0.3]),
        ("2,1", [1, 2]),
    ],
)
def test_lists_include_both_ends(asked, reached, database):
    sweep(database, "--hidden", 6, "--steps", 20, "--seeds", 1, "--precision", "f64", "--rho", asked)
    rows = table("decay", database)
    assert [float(row["rho"]) for row in rows] == pytest.approx(reached, rel=1e-9)


def test_progress_is_plain_lines_without_a_terminal(database):
    done = rhosweep("sweep", "-o", database, *SMALL)
    assert done.returncode == 0
    assert "\r" not in done.stderr and "\x1b" not in done.stderr


def test_quiet_is_quiet(database):
    done = rhosweep("sweep", "--quiet", "-o", database, *SMALL)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_sweep_ends_with_its_finding(database):
    """Where gradients stop vanishing, and how busy the engine was; also when nothing was left to do."""
    options = ["--nonlinearity", "linear", "--ensemble", "orthogonal", "--hidden", 8, "--steps", 40,
               "--rho", "0.5,2", "--seeds", "1:3", "--output", database]
    first, again = (succeed("sweep", *options).splitlines() for _ in range(2))
    assert first[0].startswith("3 of 3 cases done in ") and "engine busy" in first[0]
    assert again[0].startswith("0 of 3 cases done in ") and "engine busy" not in again[0]
    assert first[1] == again[1]
    assert first[1] == "linear, orthogonal: gradients stop vanishing at rho = 1.25"
    [row] = table("critical", database)
    for name in "rho_critical", "rho_critical_ci95_low", "rho_critical_ci95_high", "g_critical":
        assert float(row[name]) == pytest.approx(1.25, rel=1e-3)


def test_help_lists_every_table():
    text = succeed("table", "--help")
    for name in ("decay", "critical", "seeds", "profile", "clip", "throughput", "runs",
                 "failures"):
        assert re.search(f"^  {name} ", text, re.MULTILINE), text
