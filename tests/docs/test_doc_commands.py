"""Every command of the documentation runs.

A page's blocks run in order, in a folder that looks like a clone whose set-up and build are done. Commands
of the program run as they are, or shorter; the tables below say which do not run, and why.
"""

import importlib.util
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest

from doc_tools import PAGES, PROGRAM, ROOT, Block, blocks, inline_code, rhosweep, text_of

TIMEOUT = 120  # seconds for a command
RUN = {"rhosweep", "build/release/rhosweep", "cat", "source"}
# Programs that do not run here: why, or what runs them.
NOT_RUN = {
    ".ci/run": "runs these tests",
    "~/.local/share/rhosweep/venv/bin/pip": "test_install.py",
    "build/release/rhosweep-bench": "minutes; the C test rhosweep-bench",
    "gpu-bundle/scripts/gpu-check": "needs a GPU; tests/gpu_check",
    "cmake": "builds and installs; test_install.py",
    "cpack": "test_install.py",
    "git": "every clone is one",
    "perf": "not installed",
    "pip": "scripts/setup and test_install.py do it",
    "sbatch": "needs Slurm",
    "python3": "makes an environment; test_install.py",
    "scripts/bench": "minutes; test_bench_tools.py",
    "scripts/bench-lyapunov": "minutes; test_bench_lyapunov.py",
    "scripts/bench-workers": "minutes; test_bench_workers.py",
    "scripts/gpu-check": "needs a GPU; tests/gpu_check",
    "scripts/setup": "installs packages; .ci/run begins with it",
    "scripts/sweep-shares": "minutes; test_sweep_shares.py",
    "scripts/test": "runs these tests",
    "srun": "needs Slurm",
    "sudo": "installs packages; test_install.py unpacks them",
    "tar": "needs results of a GPU",
}
# Commands that another one stands in for.
STAND_INS = {
    "scripts/quickstart": "rhosweep sweep sweeps/quickstart.ini -o quickstart.db",  # and test_readme_table.py
    "scripts/paper": "rhosweep sweep sweeps/paper.ini -o paper.db",
    "rhosweep sweep sweeps/paper.ini --engine cuda -o paper.db":
        "rhosweep sweep sweeps/paper.ini --engine cpu -o paper.db",
    "parallel --jobs 1 rhosweep sweep spec.ini --shard {}/8 -o part{}.db ::: {0..7}":
        "for i in {0..7}; do rhosweep sweep spec.ini --shard $i/8 -o part$i.db; done",
}
# Sizes that take long, in commands and in spec files.
SHORTER = {"--hidden 64,256": "--hidden 8,16", "--seeds 0:19": "--seeds 0:3"}
SHORTER_SPECS = {
    "paper.ini": {"ensemble": "gaussian, symmetric", "hidden": "16", "seeds": "1:3", "steps": "60",
                  "warmup": "20", "rho": "0.5:2.5:0.5"},
    "phase.ini": {"hidden": "16", "seeds": "1:2", "steps": "60", "warmup": "20", "rho": "0.6:3:0.6"},
    "gated.ini": {"seeds": "1:4"},
    "lyapunov.ini": {"hidden": "8", "seeds": "0:1", "steps": "40", "warmup": "20", "transient": "10",
                     "rho": "0.5, 2, 3", "singular-at": "1, 10, 40"},
    "chaos.ini": {"hidden": "16", "seeds": "0:1", "steps": "40", "warmup": "20", "transient": "10", "rho": "2, 3, 5"},
    "forget_bias.ini": {"seeds": "1:4"},
    "tutorial_exploding.ini": {"seeds": "1:4"},
    "tutorial_clipping.ini": {"seeds": "1:4"},
}
# Enough of PyTorch where it is not installed: a network is its state_dict.
TORCH = '''
import numpy as np

class Tensor(np.ndarray):
    def numpy(self):
        return np.asarray(self)

class nn:
    class RNN:
        gates = 1
        def __init__(self, inputs, units):
            rows = self.gates * units
            shapes = {"weight_ih_l0": (rows, inputs), "weight_hh_l0": (rows, units),
                      "bias_ih_l0": (rows,), "bias_hh_l0": (rows,)}
            draw = np.random.default_rng(1).uniform
            self.weights = {name: draw(-0.1, 0.1, shape).astype(np.float32).view(Tensor)
                            for name, shape in shapes.items()}
        def state_dict(self):
            return self.weights

    class LSTM(RNN):
        gates = 4
'''


def commands_of(text):
    """The commands of a block: without comments, continued lines as one."""
    lines = (re.sub(r"(^|\s)#(\s|!|SBATCH).*", "", line).strip() for line in text.replace("\\\n", " ").splitlines())
    return [line for line in lines if line]


def program_of(command):
    """The first word that is neither a variable nor a program that runs another."""
    words = shlex.split(command)
    if words[0] == "taskset":
        words = words[3:]
    return next(word for word in words if not re.match(r"\w+=", word))


def to_run(command):
    """The command that runs here, or None."""
    if command in STAND_INS:
        return STAND_INS[command]
    program = program_of(command)
    if program in NOT_RUN or needs_latex(command):
        return None
    if program == "mpirun":
        return on_one_machine(command) if shutil.which("mpirun") else None  # test_mpi.py says skipped
    assert program in RUN, f"{command}: say in this file how it is tested"
    for long, short in SHORTER.items():
        command = command.replace(long, short)
    return command + (" -o default.db" if sweeps_by_default(command) else "")


def on_one_machine(command):
    """With more ranks than cores, and as any user."""
    return command.replace("mpirun", "mpirun --allow-run-as-root --oversubscribe", 1)


def sweeps_by_default(command):
    """Whether it adds to rhosweep.db, whose report would be long."""
    return command.startswith("rhosweep sweep") and not re.search("-o |--output", command)


def needs_latex(command):
    return "--format pgf" in command and not shutil.which("pdflatex")


def shorter_spec(name, text):
    for key, value in SHORTER_SPECS.get(name, {}).items():
        text, changes = re.subn(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.M)
        assert changes == 1, f"{name}: {key}"
    return text


def safetensors(name, array):
    """A file with one array of float64."""
    header = json.dumps({name: {"dtype": "F64", "shape": array.shape, "data_offsets": [0, array.nbytes]}})
    return len(header).to_bytes(8, "little") + header.encode() + array.tobytes()


def add_examples(folder, database):
    """What the examples of the program's help read."""
    for name in ("rhosweep.db", "first.db", "quickstart.db"):
        shutil.copy(database, folder / name)
    weights = np.random.default_rng(1).normal(size=(16, 16)) / 4
    np.savez(folder / "weights.npz", weight_hh_l0=weights)
    (folder / "model.safetensors").write_bytes(safetensors("weight_hh_l0", weights))
    (folder / "spec.ini").write_text("[sweep]\nhidden = 8\nseeds = 1:2\n")
    (folder / ".zfunc").mkdir()


@pytest.fixture
def clone(tmp_path, quickstart):
    """A folder with all that the pages' commands read."""
    for folder in ("bin", "build/release", "sweeps", "torch"):
        (tmp_path / folder).mkdir(parents=True)
    add_examples(tmp_path, quickstart)
    for place in ("bin/rhosweep", "build/release/rhosweep"):
        (tmp_path / place).symlink_to(PROGRAM)
    (tmp_path / "bench").symlink_to(ROOT / "bench")
    for spec in (ROOT / "sweeps").glob("*.ini"):
        (tmp_path / "sweeps" / spec.name).write_text(shorter_spec(spec.name, spec.read_text()))
    if not importlib.util.find_spec("torch"):
        (tmp_path / "torch" / "torch.py").write_text(TORCH)
    return tmp_path


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory):
    """The database of the README's two commands, which pages take as given."""
    database = tmp_path_factory.mktemp("quickstart") / "quickstart.db"
    done = rhosweep("sweep", ROOT / "sweeps" / "quickstart.ini", "--seeds", "1:2", "-o", database)
    assert done.returncode == 0, done.stderr
    return database


def run(words, folder, block, page):
    paths = [str(folder / "torch"), str(ROOT / "reports"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "HOME": str(folder), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
                   "PYTHONPATH": os.pathsep.join(paths), "SLURM_ARRAY_TASK_ID": "0",
                   "SLURM_ARRAY_TASK_COUNT": "32"}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False,
                          timeout=TIMEOUT)
    assert done.returncode == 0, f"{page}:{block.line}: {words[-1]}: {done.stderr}"


def write_file(block, folder):
    """A spec file in a page begins with a comment that names it."""
    name = re.match(r"# (\S+)\n", block.text)[1]
    (folder / name).write_text(block.text)


def is_shell(block):
    """The examples of options.md, from the program's help, name no language."""
    return block.language == "sh" or not block.language and block.text.split()[0] in RUN


def run_block(block, folder, page):
    if block.language == "python":
        run([sys.executable, "-c", block.text], folder, block, page)
    elif block.language == "ini":
        write_file(block, folder)
    elif is_shell(block):
        for command in filter(None, map(to_run, commands_of(block.text))):
            run(["bash", "-c", command], folder, block, page)


@pytest.mark.parametrize("page", PAGES)
def test_commands_run(page, clone):
    for block in blocks(text_of(page)):
        run_block(block, clone, page)


@pytest.mark.parametrize("page", PAGES)
def test_blocks_say_what_they_hold(page):
    """So that no command goes untested."""
    text = text_of(page)
    known = {"sh", "python", "ini", "latex", "text"} | ({""} if page == "docs/options.md" else set())
    assert {block.language for block in blocks(text)} <= known
    assert not re.search(r"^\n    \S", text, re.M), "an indented block; write ```sh or ```text"


def written_commands():
    return [command for page in PAGES for block in blocks(text_of(page)) if is_shell(block)
            for command in commands_of(block.text)]


def test_the_tables_hold_what_the_pages_have():
    written = written_commands()
    assert STAND_INS.keys() <= set(written)
    assert NOT_RUN.keys() <= set(map(program_of, written))
    assert all(any(long in command for command in written) for long in SHORTER)


def wrong_words(command):
    """Of a script that does not run here: options that its help lacks, or the script itself."""
    program, *words = shlex.split(command[command.index(program_of(command)):])
    if not program.startswith("scripts/"):
        return []
    if not os.access(ROOT / program, os.X_OK):
        return [program]
    ours = itertools.takewhile("--".__ne__, words)
    options = {word.partition("=")[0] for word in ours if word.startswith("-")}
    help_text = options and subprocess.check_output([ROOT / program, "--help"], text=True)
    return [option for option in options if option not in help_text]


def test_commands_that_do_not_run_are_right():
    for command in written_commands():
        if not to_run(command):
            assert wrong_words(command) == [], command


@pytest.mark.parametrize(
    "command", ["scripts/florble", "scripts/bench --florble", "A=1 scripts/gpu-check --florble"])
def test_a_wrong_option_or_script_is_found(command):
    assert wrong_words(command)


def test_an_unknown_command_is_refused():
    with pytest.raises(AssertionError, match="say in this file"):
        to_run("scripts/florble --all")


def test_a_command_that_fails_is_found(clone):
    with pytest.raises(AssertionError, match=r"README.md:7: rhosweep table florble"):
        run_block(Block("sh", "rhosweep table florble quickstart.db\n", 7), clone, "README.md")


def known_options():
    """Long options of all commands of the program."""
    commands = re.findall(r"^  (\w+) ", rhosweep("--help").stdout, re.M)
    helps = [rhosweep("help", *filter("help".__ne__, [name])).stdout for name in commands]
    return {option for text in helps for option in re.findall(r"--[a-z][\w-]*", text)}


# Pages about the program; the others name options of scripts and tools.
ABOUT_THE_PROGRAM = ("README.md", *(page for page in PAGES if page.startswith("docs/")))
OF_OTHER_PROGRAMS = {"--install", "--target", "--no-deps",  # of cmake and pip
                     "--array", "--gpus", "--kill-on-bad-exit",  # of Slurm
                     "--bind-to", "--map-by", "--sshlogin"}  # of mpirun and GNU parallel


def test_options_in_the_text_exist():
    known = known_options() | OF_OTHER_PROGRAMS
    assert {"--rho", "--figure", "--format"} <= known
    for page in ABOUT_THE_PROGRAM:
        named = {option for code in inline_code(text_of(page))
                 for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", code)}
        assert named - known == set(), page


def test_every_figure_is_explained():
    help_text = rhosweep("report", "--help").stdout
    (names,) = re.findall(r"Only this\s+figure, and no page: ([\w\s,-]+?)\n\s+--", help_text)
    words = set(re.findall(r"`([\w-]+)`", text_of("docs/figures.md")))
    axes = {word for word in words if word.startswith("-")}
    explained = words | {name + axis for name in ("time", "speedup") for axis in axes}
    assert set(re.split(r",\s+", names)) - explained == set()
