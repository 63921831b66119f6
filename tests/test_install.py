"""Installs and packages the program of a build folder, and uses it far from its sources."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = Path(os.environ.get("RHOSWEEP", ROOT / "build/release/rhosweep")).resolve()
BUILD = PROGRAM.parent
TIMEOUT = 120  # seconds
REPORTS = "share/rhosweep/reports"
SWEEP = ["--seeds", "1:2", "--rho", "0.5,1,2", "--hidden", "8", "--steps", "20", "--quiet"]

from_a_build = pytest.mark.skipif(not (BUILD / "cmake_install.cmake").exists(),
                                  reason=f"{BUILD} is no build folder")


def run(*command, **options):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False,
                          timeout=TIMEOUT, **options)


def succeed(*command, **options):
    done = run(*command, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def alone():
    """Installing writes a list into the build folder, which other processes of pytest may do too."""
    with open(BUILD / "install.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install(prefix):
    succeed("cmake", "--install", BUILD, "--prefix", prefix, "--strip")


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")
                  if not path.is_dir())


def environment(**variables):
    """This process's, without what names sources, programs or Pythons."""
    names = ("RHOSWEEP", "RHOSWEEP_PYTHON", "PYTHONPATH")
    return {name: value for name, value in os.environ.items() if name not in names} | variables


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """An installed tree, moved to another place."""
    first = tmp_path_factory.mktemp("first") / "prefix"
    with alone():
        install(first)
    return first.rename(tmp_path_factory.mktemp("second") / "moved")


@pytest.fixture(scope="module")
def database(prefix, tmp_path_factory):
    path = tmp_path_factory.mktemp("database") / "quick.db"
    succeed(prefix / "bin/rhosweep", "sweep", prefix / "share/rhosweep/sweeps/quickstart.ini",
            *SWEEP, "-o", path)
    return path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    succeed(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
            "--wheel-dir", folder, ROOT / "reports")
    return next(folder.iterdir())


# --- an installed tree ----------------------------------------------------------------------------

@from_a_build
def test_everything_is_where_its_users_look(prefix):
    expected = {"bin/rhosweep", "share/man/man1/rhosweep.1",
                "share/bash-completion/completions/rhosweep", "share/zsh/site-functions/_rhosweep",
                "share/doc/rhosweep/README.md", "share/doc/rhosweep/LICENSE",
                "share/doc/rhosweep/copyright", f"{REPORTS}/rhosweep_reports/page.css"}
    expected |= {f"share/rhosweep/sweeps/{path.name}" for path in (ROOT / "sweeps").glob("*.ini")}
    installed = set(files(prefix))
    assert expected <= installed, expected - installed
    assert not [name for name in installed if "__pycache__" in name or "egg-info" in name]


@from_a_build
def test_the_program_knows_no_folder_of_its_sources(prefix):
    assert str(ROOT).encode() not in (prefix / "bin/rhosweep").read_bytes()


@from_a_build
@pytest.mark.skipif(not (shutil.which("mpirun") and (BUILD / "rhosweep_mpi.so").exists()),
                    reason="no mpirun, or a build without MPI")
def test_the_program_finds_its_mpi(prefix):
    done = run("mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "2", prefix / "bin/rhosweep", "devices")
    assert done.returncode == 0, done.stderr
    assert "rank 1 on" in done.stdout


@from_a_build
def test_licences_of_all_code_in_the_program(prefix):
    text = (prefix / "share/doc/rhosweep/copyright").read_text()
    licence = " ".join((ROOT / "LICENSE").read_text().partition("\n\n")[2].split("\n\n", 1)[1].split())
    assert licence in " ".join(re.sub(r"(?m)^ \.?", "", text).split())
    assert "D. E. Shaw" in text


@from_a_build
@pytest.mark.skipif(not shutil.which("man"), reason="no man")
def test_manual_page(prefix):
    page = succeed("man", "--manpath", prefix / "share/man", "rhosweep",
                   env=environment(MANPAGER="cat", MANWIDTH="80"))
    assert "rhosweep sweep" in page and "--rho" in page


@from_a_build
def test_bash_completion(prefix):
    script = prefix / "share/bash-completion/completions/rhosweep"
    assert succeed("bash", "-c", f'source "{script}" && complete -p rhosweep').rstrip()


@from_a_build
def test_sweep_table_and_report_from_another_folder(prefix, database, tmp_path):
    program = prefix / "bin/rhosweep"
    env = environment(RHOSWEEP_PYTHON=sys.executable)
    assert "decay_rate" in succeed(program, "table", "decay", database, "--format", "csv")
    succeed(program, "report", database, "-o", "report", "--figure", "rate", cwd=tmp_path, env=env)
    assert [path.suffix for path in sorted((tmp_path / "report").iterdir())] == [".pdf", ".svg", ".tex"]


@from_a_build
def test_uninstall_leaves_what_others_put_there(tmp_path):
    prefix = tmp_path / "prefix"
    theirs = [prefix / "bin/other", prefix / "share/rhosweep/venv/bin/python"]
    for path in theirs:
        path.parent.mkdir(parents=True)
        path.touch()
    with alone():
        install(prefix)
        compiled = prefix / REPORTS / "rhosweep_reports/__pycache__/cli.cpython-311.pyc"
        compiled.parent.mkdir()
        compiled.touch()
        succeed("cmake", "--build", BUILD, "--target", "uninstall")
        again = run("cmake", "--build", BUILD, "--target", "uninstall")
    assert files(prefix) == sorted(path.relative_to(prefix).as_posix() for path in theirs)
    assert not (prefix / REPORTS).exists()
    assert again.returncode != 0 and "nothing is installed" in " ".join((again.stdout + again.stderr).split())


# --- packages -------------------------------------------------------------------------------------

def packed(generator, folder):
    with alone():
        succeed("cpack", "--config", BUILD / "CPackConfig.cmake", "-G", generator, "-B", folder)
    return next(path for path in folder.iterdir() if path.is_file())


def can_sweep(program, folder):
    succeed(program, "sweep", *SWEEP, "-o", folder / "a.db")
    return True


@from_a_build
@pytest.mark.skipif(not (shutil.which("dpkg-shlibdeps") and shutil.which("file")),
                    reason="needs dpkg-dev and file")
def test_deb(tmp_path):
    package = packed("DEB", tmp_path / "package")
    depends = succeed("dpkg-deb", "--field", package, "Depends")
    assert {"libopenblas0", "libsqlite3-0"} <= set(re.findall(r"[\w-]+", depends))
    succeed("dpkg-deb", "--extract", package, tmp_path / "root")
    assert can_sweep(tmp_path / "root/usr/bin/rhosweep", tmp_path)


@from_a_build
def test_tar(tmp_path):
    with tarfile.open(packed("TGZ", tmp_path / "package")) as archive:
        archive.extractall(tmp_path, filter="data")
    (top,) = tmp_path.glob("rhosweep-*")
    assert can_sweep(top / "bin/rhosweep", tmp_path)
    assert (top / REPORTS / "pyproject.toml").exists()


# --- the wheel ------------------------------------------------------------------------------------

def test_wheel_is_whole_and_building_it_leaves_nothing(wheel):
    package = {name for name in files(ROOT / "reports/rhosweep_reports") if "__pycache__" not in name}
    names = {name.removeprefix("rhosweep_reports/") for name in zipfile.ZipFile(wheel).namelist()}
    assert package <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not (ROOT / "reports/build").exists()
    assert (ROOT / "reports/LICENSE").read_text() == (ROOT / "LICENSE").read_text()


@from_a_build
def test_installed_wheel_makes_a_report(wheel, prefix, database, tmp_path):
    site = tmp_path / "site"
    succeed(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, wheel)
    env = environment(RHOSWEEP=str(prefix / "bin/rhosweep"), PYTHONPATH=str(site))
    succeed(site / "bin/rhosweep-report", database, "-o", tmp_path / "report", "--figure", "rate",
            env=env)
    used = succeed(sys.executable, "-c", "import rhosweep_reports as r; print(r.__file__)", env=env)
    assert used.startswith(str(site))


# --- one version ----------------------------------------------------------------------------------

def project():
    return tomllib.loads((ROOT / "reports/pyproject.toml").read_text())["project"]


def test_one_version():
    version = project()["version"]
    assert f"rhosweep {version} " in succeed(PROGRAM, "--version").splitlines()[0] + " "
    assert re.search(r"(?m)^version: (.*)$", (ROOT / "CITATION.cff").read_text())[1] == version


def test_the_program_asks_for_the_python_and_matplotlib_that_pip_does():
    from rhosweep_reports import start

    def dotted(numbers):
        return ".".join(map(str, numbers))

    assert project()["requires-python"] == f">={dotted(start.PYTHON)}"
    assert f"matplotlib>={dotted(start.MATPLOTLIB)}," in project()["dependencies"][0]


# --- the Python of `rhosweep report` --------------------------------------------------------------

def stand_in(path, name):
    """A Python that prints its name and the home of the reports, which is its third argument."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\necho "{name} $3"\n')
    path.chmod(0o755)


@from_a_build
@pytest.mark.parametrize("first", range(4))
def test_the_first_python_there_is(first, prefix, database, tmp_path):
    home = tmp_path / "prefix/share/rhosweep"
    shutil.copytree(prefix, tmp_path / "prefix")
    places = [tmp_path / "named", home / "venv/bin/python", tmp_path / "path/rhosweep-report",
              tmp_path / "path/python3"]
    for path in places[first:]:
        stand_in(path, path.name)
    named = {"RHOSWEEP_PYTHON": str(places[0])} if first == 0 else {}
    env = environment(PATH=str(tmp_path / "path") + ":/usr/bin:/bin", **named)
    printed = succeed(tmp_path / "prefix/bin/rhosweep", "report", database, "-o", "out", env=env)
    name, third = printed.split()
    assert name == places[first].name
    assert third == str(home) or name == "rhosweep-report"  # that one has a package of its own


@pytest.mark.parametrize("beside", [True, False])
def test_a_copied_tree_finds_its_own_python(beside, tmp_path):
    tree = tmp_path / "tree"
    program = tree / "build/release/rhosweep"
    program.parent.mkdir(parents=True)
    shutil.copy(PROGRAM, program)
    shutil.copytree(ROOT / "reports", tree / "reports")
    python = tree / ".venv/bin/python" if beside else tmp_path / "path/python3"
    stand_in(python, "its-own")
    succeed(program, "sweep", *SWEEP, "-o", tmp_path / "a.db")
    env = environment(PATH=f"{tmp_path / 'path'}:/usr/bin:/bin")
    assert succeed(program, "report", tmp_path / "a.db", "-o", "out", env=env).split() == \
        ["its-own", str(tree)]


def test_modules_of_the_current_folder_are_not_taken(tmp_path):
    (tmp_path / "matplotlib.py").write_text("raise SystemExit('taken')")
    succeed(PROGRAM, "sweep", *SWEEP, "-o", tmp_path / "a.db")
    succeed(PROGRAM, "report", "a.db", "-o", "out", "--figure", "rate", cwd=tmp_path,
            env=environment(RHOSWEEP_PYTHON=sys.executable))


@from_a_build
@pytest.mark.parametrize(("found", "words"), [
    (None, "No module named 'matplotlib'"), ("3.6.3", "has matplotlib 3.6.3, reports need 3.10")])
def test_what_a_python_lacks_and_how_to_get_it(found, words, prefix, database, tmp_path):
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    if found:
        (tmp_path / "matplotlib.py").write_text(f'__version__ = "{found}"\n')
    done = run(prefix / "bin/rhosweep", "report", database, "-o", tmp_path / "out",
               env=environment(RHOSWEEP_PYTHON=str(bare), PYTHONPATH=str(tmp_path)))
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert words in done.stderr
    assert f"pip install {prefix / REPORTS}" in done.stderr


# --- a notebook -----------------------------------------------------------------------------------

def test_notebook(tmp_path):
    jupytext = pytest.importorskip("jupytext")
    pytest.importorskip("pandas")
    notebook = jupytext.read(ROOT / "docs/notebook.ipynb")
    assert not any(cell.get("outputs") for cell in notebook.cells)
    jupytext.write(notebook, tmp_path / "notebook.py")
    succeed(sys.executable, "notebook.py", cwd=tmp_path,
            env=environment(RHOSWEEP=str(PROGRAM), MPLBACKEND="agg"))
    assert {"notebook.db", "rates.pdf", "curves.pdf"} <= set(files(tmp_path))
