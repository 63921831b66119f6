"""Databases as arrays, and sweeps from Python: the numbers are those that the program prints."""

import importlib.util
import shutil
import sqlite3
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from report_tools import contents, rows, sweep

import rhosweep_reports
from rhosweep_reports.errors import InputError

DATA = Path(__file__).resolve().parents[1] / "data"
VERSION_1 = DATA / "version1.db"
SMALL = {"hidden": 8, "steps": 30, "batch": 2, "seeds": "1:3", "precision": "f64", "loss": "random"}


@pytest.fixture(autouse=True)
def without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)


@pytest.fixture(params=["now", "1", "2", "3", "4", "5"])
def any_version(request, database, tmp_path):
    if request.param == "now":
        return database
    return Path(shutil.copy(DATA / f"version{request.param}.db", tmp_path))


def assert_same(array, printed, columns):
    assert len(array) == len(printed) > 0
    for column in columns:
        texts = [row[column] for row in printed]
        if array[column].dtype == object:
            assert array[column].tolist() == texts, column
        elif array[column].dtype == np.uint64:
            assert array[column].tolist() == [int(text) for text in texts]
        else:
            numbers = np.array([float(text) if text else np.nan for text in texts])
            assert np.array_equal(array[column], numbers, equal_nan=True), column


def test_profile_is_the_printed_one(any_version):
    profile = rhosweep_reports.read(any_version)["profile"]
    assert isinstance(profile, np.recarray)
    printed = rows("profile", any_version)
    assert list(profile.dtype.names) == list(printed[0])
    assert_same(profile, printed, printed[0])


def test_profile_of_both_states(tmp_path):
    path = sweep(tmp_path / "x.db", {"--cell": "lstm,tanh", "--hidden": "4", "--steps": "12",
                                     "--seeds": "1:2", "--rho": "0.5,1", "--batch": "2",
                                     "--gate-bias": "1,chrono:12", "--leak": "0.5,1"})
    profile, printed = rhosweep_reports.read(path)["profile"], rows("profile", path)
    assert_same(profile, printed, printed[0])
    pair = profile[profile["cell"] == "lstm"]
    assert len(pair) == 2 * 2 * 2 * 3 * 12 and set(pair["state"]) == {"h", "c", "both"}
    assert set(profile[profile["cell"] == "tanh"]["state"]) == {"h"}
    last = pair[(pair["state"] == "c") & (pair["step"] == 12)]
    assert (last["zero_fraction"] == 1).all(), "the loss depends on h alone"


def test_runs_are_the_printed_ones(any_version):
    printed = rows("runs", any_version)
    assert_same(rhosweep_reports.read(any_version)["runs"], printed,
                ("run", "started", "outcome", "device", "command_line", "spec", "wall_s"))


def test_seeds_are_what_the_decay_table_summarises(any_version):
    seeds = rhosweep_reports.read(any_version)["seeds"]
    printed = rows("decay", any_version)
    assert sum(int(row["seeds"]) for row in printed) == np.isfinite(seeds["decay_rate"]).sum()
    finite = [row for row in printed if row["decay_rate"]]
    for row in finite:
        one = np.all([seeds[column].astype(str) == row[column] for column in
                      ("cell", "ensemble", "hidden", "batch", "engine")], axis=0)
        radius = float(row["rho_asked"]) if row["rho_asked"] else np.nan
        one &= np.isclose(seeds["rho_asked"], radius, rtol=0, atol=0, equal_nan=True)
        assert seeds["decay_rate"][one].mean() == pytest.approx(float(row["decay_rate"]), rel=1e-14)
    assert finite


def test_every_table_of_every_version(any_version):
    tables = rhosweep_reports.read(any_version)
    assert list(tables) == ["seeds", "profile", "clip", "gradients", "lyapunov", "singular", "runs", "timings",
                            "failures"]
    assert len(tables["failures"]) == len(tables["lyapunov"]) == len(tables["singular"]) == 0
    clipped = 4 if any_version.name in ("version3.db", "version4.db", "version5.db") else 0
    for name in "clip", "gradients":
        assert len(tables[name]) == clipped
    assert "clip_coef" in tables["clip"].dtype.names
    assert "log10_weight_hh" in tables["gradients"].dtype.names
    assert (tables["timings"]["forward_s"] > 0).all()
    assert tables["seeds"] is tables["seeds"]
    with pytest.raises(KeyError, match="the tables are"):
        tables["decays"]


def test_clip_is_the_printed_one(fixed_database, tmp_path):
    path = shutil.copy(fixed_database, tmp_path / "x.db")
    insert_gradients(path)
    tables = rhosweep_reports.read(path)
    printed, clip = rows("clip", path), tables["clip"]
    assert list(clip.dtype.names) == list(printed[0])
    computed = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "total", "clip_coef",
                "total_clipped")
    assert_same(clip, printed, [column for column in printed[0] if column not in computed])
    for column in computed:
        numbers = [float(row[column]) for row in printed]
        assert clip[column] == pytest.approx(numbers, rel=1e-12, abs=0, nan_ok=True), column
    assert set(clip["max_norm"]) == {1e-9, 0.5, 100}
    assert np.isnan(clip["total_clipped"]).any() and np.isinf(clip["weight_hh"]).any()
    assert (clip["total"] == 0).any() and (clip["clip_coef"] < 1).any()

    gradients = tables["gradients"]
    assert len(gradients) == len(NORMS) == len(clip) - 4
    assert sorted(gradients["log10_weight_hh"].tolist()) == sorted(norms[1] for norms in NORMS)


# log10, of the points of two cases.
NORMS = [(1, 0.25, -2, -2), (400, 401, -400, 1), (-400, -400, -400, -400), (-np.inf,) * 4,
         (0, np.inf, 1, 1), (None, np.inf, 1, 0), (-30, -31, -8, -9), (-1, 0.125, -np.inf, 0)]


def insert_gradients(path):
    connection = sqlite3.connect(path)
    points = connection.execute("SELECT id FROM points ORDER BY id").fetchall()
    connection.executemany("INSERT INTO gradients VALUES (?, ?, ?, ?, ?)",
                           [(*point, *norms) for point, norms in zip(points, NORMS, strict=True)])
    connection.execute("INSERT INTO clips SELECT id, iif(seed = 1, 0.5, 100), 1 FROM cases")
    connection.execute("INSERT INTO clips SELECT id, 1e-9, 1 FROM cases WHERE seed = 1")
    connection.commit()
    connection.close()


def test_reading_leaves_no_trace(any_version):
    before = contents(any_version.parent)
    for table in rhosweep_reports.read(any_version).values():
        assert table.dtype.names
    assert contents(any_version.parent) == before


def test_version_1_does_not_tell_how_a_model_started(tmp_path):
    seeds = rhosweep_reports.read(shutil.copy(VERSION_1, tmp_path))["seeds"]
    assert seeds["h0"][seeds["ensemble"] == "model"].tolist() == ["unrecorded"]
    assert set(seeds["h0"][seeds["ensemble"] != "model"]) == {"zero"}
    assert 2**63 - 1 in seeds["seed"].tolist()


def test_frames_where_pandas_is(database, monkeypatch):
    stand_in = types.ModuleType("pandas")
    stand_in.DataFrame = dict
    monkeypatch.setitem(sys.modules, "pandas", stand_in)
    seeds = rhosweep_reports.read(database)["seeds"]
    assert isinstance(seeds, dict) and len(seeds["rho"]) == 2 * 2 * 2 * 4 * 3


def test_points_without_profiles(tmp_path):
    database = sweep(tmp_path / "bare.db", {"--hidden": "4", "--steps": "20", "--seeds": "1",
                                            "--rho": "1,2", "--profiles": "no"})
    tables = rhosweep_reports.read(database)
    assert len(tables["seeds"]) == 2
    assert len(tables["profile"]) == len(rows("profile", database)) == 0
    assert "log10_norm_mean" in tables["profile"].dtype.names


@pytest.mark.parametrize("content", [b"", b"no database at all, whatever it is" * 9])
def test_what_is_no_database_is_refused(tmp_path, content):
    with pytest.raises(InputError, match="no such file"):
        rhosweep_reports.read(tmp_path / "none.db")
    (tmp_path / "x.db").write_bytes(content)
    with pytest.raises(InputError):
        rhosweep_reports.read(tmp_path / "x.db")


CRAFTED = {
    "has schema 0, these reports know 6": ["PRAGMA user_version = 0"],
    "has schema 7, these reports know 6": ["PRAGMA user_version = 7"],
    "one of rhosweep": ["PRAGMA application_id = 0"],
    "has a view": ["DROP TABLE timings", "CREATE VIEW timings AS SELECT 1"],
    "no such table: curves": ["DROP TABLE curves"],
    "malformed database schema": ["PRAGMA writable_schema = ON", "UPDATE sqlite_schema SET sql = "
                                  "CAST(replace(CAST(sql AS BLOB), ' REAL', x'20ff52') AS TEXT)"
                                  " WHERE name = 'points'"],
    "curves of uneven length": ["UPDATE curves SET max = x'00'"],
    "curve of 10 steps": ["UPDATE curves SET mean = zeroblob(80), min = NULL, max = NULL"],
}


@pytest.mark.parametrize("why", CRAFTED)
def test_crafted_databases_are_refused(why, fixed_database, tmp_path):
    path = shutil.copy(fixed_database, tmp_path / "x.db")
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in CRAFTED[why]:
        connection.execute(statement)
    connection.close()
    with pytest.raises(InputError, match=why):
        rhosweep_reports.read(path)["profile"]


# --- sweeps ---------------------------------------------------------------------------------------


def test_sweep_of_drawn_networks(tmp_path):
    tables = rhosweep_reports.sweep(rho=np.linspace(0.5, 2, 4), **SMALL)
    assert sorted(set(tables["seeds"]["rho_asked"])) == [0.5, 1, 1.5, 2]
    assert len(tables["profile"]) == 4 * 3 * 30
    kept = rhosweep_reports.sweep(rho=[1], output=tmp_path / "x.db", profiles=False, raw=True,
                                  **SMALL)
    assert len(kept["profile"]) == 0
    assert set(rhosweep_reports.read(tmp_path / "x.db")["seeds"]["raw"]) == {1}


def test_sweep_with_gradients():
    tables = rhosweep_reports.sweep(rho=[1], clip=0.25, profiles=False, engine="reference",
                                    **SMALL)
    assert tables["clip"]["max_norm"].tolist() == [0.25] * 3
    assert (tables["clip"]["total"] > 0).all()
    assert tables["gradients"]["log10_weight_hh"] == \
        pytest.approx(np.log10(tables["clip"]["weight_hh"]), rel=1e-13)


class Tensor:
    """What sweep asks of a tensor, without PyTorch."""

    def __init__(self, array):
        self.array = array
        self.dtype = f"torch.{array.dtype}"

    def detach(self):
        return self

    cpu = detach

    def numpy(self):
        return self.array


def test_sweep_of_a_network_of_arrays(tmp_path):
    rng = np.random.default_rng(3)
    arrays = {"weight_hh_l0": rng.standard_normal((8, 8)) / 3,
              "weight_ih_l0": rng.standard_normal((8, 2)), "bias_hh_l0": np.zeros(8),
              "bias_ih_l0": np.zeros(8)}
    np.savez(tmp_path / "net.npz", **arrays)
    options = {"rho": "native", "steps": 30, "precision": "f64", "seeds": 1}
    from_file = rhosweep_reports.sweep(tmp_path / "net.npz", **options)["profile"]
    tensors = {name: Tensor(array) for name, array in arrays.items()}
    module = types.SimpleNamespace(state_dict=lambda: tensors, nonlinearity="tanh")
    for model in (arrays, tensors, module):
        profile = rhosweep_reports.sweep(model, **options)["profile"]
        assert np.array_equal(profile["log10_norm_mean"], from_file["log10_norm_mean"])
    module.nonlinearity = "relu"
    assert set(rhosweep_reports.sweep(module, **options)["seeds"]["cell"]) == {"relu"}


@pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="PyTorch is not installed")
def test_sweep_of_a_torch_network():
    import torch

    torch.manual_seed(1)
    network = torch.nn.RNN(2, 8)
    tables = rhosweep_reports.sweep(network.state_dict(), rho="native", steps=30, seeds=1)
    weights = network.weight_hh_l0.detach().double().numpy()
    radius = np.abs(np.linalg.eigvals(weights)).max()
    assert tables["seeds"]["rho"][0] == pytest.approx(radius, rel=1e-12)
    assert tables["profile"]["step"].tolist() == list(range(1, 31))


def test_a_database_without_a_name_goes_with_its_tables():
    tables = rhosweep_reports.sweep(rho=[1], **SMALL)
    folder = tables.path.parent
    assert folder.is_dir() and len(tables["seeds"]) == 3
    del tables
    assert not folder.exists()


def test_what_the_program_refuses():
    with pytest.raises(InputError, match="rho"):
        rhosweep_reports.sweep(rho=[-1.0])
    with pytest.raises(InputError, match="depth"):
        rhosweep_reports.sweep(depth=3)
