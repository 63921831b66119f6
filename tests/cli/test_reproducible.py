"""Results depend on spec and seed alone: bit for bit the same however the work is cut."""

import pytest

from conftest import sweep, table, table_text

SHAPE = ["--cell", "tanh,relu,linear", "--hidden", "37", "--steps", "90", "--batch", "5",
         "--seeds", "1:3", "--rho", "0.3:2.1:0.1"]
VARIANTS = [["--precision", "f32"], ["--precision", "f64"],
            ["--precision", "f32", "--input", "noise:0.4", "--loss", "random", "--warmup", "30"],
            ["--precision", "f32", "--raw", "--h0", "normal:1", "--loss", "all-mean"]]


def words(options):
    return " ".join(options[1::2])


@pytest.fixture(scope="module", params=VARIANTS, ids=words)
def whole(request, tmp_path_factory):
    """The options, and the profile table of the plain run."""
    options = SHAPE + request.param
    database = sweep(tmp_path_factory.mktemp("plain") / "plain.db", "--threads", 1, *options)
    return options, table_text("profile", database)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads(threads, whole, database):
    options, expected = whole
    sweep(database, "--threads", threads, *options)
    assert table_text("profile", database) == expected


@pytest.mark.parametrize("memory", ["600K", "1M", "7M"])
def test_memory_that_forces_chunks(memory, whole, database):
    options, expected = whole
    sweep(database, "--memory", memory, *options)
    assert table_text("profile", database) == expected


@pytest.mark.parametrize("rho", ["0.3", "1.1", "0.7,1.9", "2.1"])
def test_a_radius_alone_or_among_others(rho, whole, database):
    options, expected = whole
    options = list(options)
    options[options.index("--rho") + 1] = rho
    sweep(database, *options)
    alone = table_text("profile", database).splitlines()
    assert len(alone) == 1 + 3 * 3 * 90 * len(rho.split(","))
    assert set(alone) <= set(expected.splitlines())


def test_a_seed_alone_or_among_others(whole, database):
    options, expected = whole
    options = list(options)
    options[options.index("--seeds") + 1] = "2"
    sweep(database, *options)
    alone = table_text("profile", database).splitlines()
    assert len(alone) == 1 + 3 * 19 * 90
    assert set(alone) <= set(expected.splitlines())


def test_radii_added_later(whole, database):
    """A sweep in two parts, the second one finer, ends in the same table."""
    options, expected = whole
    first = list(options)
    first[first.index("--rho") + 1] = "0.3:2.1:0.3"
    sweep(database, *first)
    sweep(database, *options)
    assert table_text("profile", database) == expected


def test_seeds_differ(whole):
    _, expected = whole
    header, *rows = [line.split(",") for line in expected.splitlines()]
    seed, mean = header.index("seed"), header.index("log10_norm_mean")
    last = header.index("step")
    by_seed = {row[seed]: row[mean] for row in rows if row[last] == "1"}
    assert len(set(by_seed.values())) == len(by_seed) == 3


def test_reference_engine_agrees(database):
    """The naive double loops and the fast engine, f64, where the gradient decays."""
    options = ["--hidden", 21, "--steps", 60, "--batch", 3, "--seeds", 7, "--rho", "0.4,0.9",
               "--precision", "f64"]
    slow = table("profile", sweep(database, "--engine", "reference", *options))
    fast = table("profile", sweep(database.with_name("cpu.db"), "--engine", "cpu", *options))
    assert len(slow) == len(fast) == 2 * 60
    for a, b in zip(slow, fast):
        assert float(a["log10_norm_mean"]) == pytest.approx(float(b["log10_norm_mean"]), abs=1e-11)
