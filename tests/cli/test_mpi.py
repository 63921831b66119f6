"""Sweeps of several processes, as mpirun starts them: what is computed does not depend on them, one
of them writes, and none goes on alone or hangs."""

import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import closing

import pytest

import conftest
from conftest import assert_one_line, assert_whole, rhosweep, sweep, table, table_text
from test_stopping import EIGENVALUES, outcomes

MPIRUN = ["mpirun", "--allow-run-as-root", "--oversubscribe"]
MODULE = conftest.PROGRAM.parent / "rhosweep_mpi.so"

needs_mpi = pytest.mark.skipif(
    not shutil.which("mpirun") or not MODULE.exists(),
    reason="no mpirun, or a build without MPI (RHOSWEEP_MPI)")

# Launches enough that every rank gets some, of two shapes, with radii that are worth keeping.
SHARED = ["--hidden", "12,40", "--steps", 60, "--batch", 16, "--seeds", "1:300", "--rho", "0.5,1,1.5"]
# Takes several times as long as ranks need to start and to die.
LONG = ["--hidden", 64, "--steps", 300, "--batch", 4, "--seeds", "1:2000", "--rho", "0.5:1.5:0.1",
        "--profiles", "no"]
ENDLESS = ["--hidden", 128, "--steps", 3000, "--batch", 4, "--seeds", "1:2000", "--rho", "0.5:1.5:0.1",
           "--profiles", "no"]

TABLES = ("decay", "profile", "seeds")

# A sanitized build would count what MPI itself never frees.
ENVIRONMENT = os.environ | {"ASAN_OPTIONS": ":".join(
    filter(None, [os.environ.get("ASAN_OPTIONS"), "detect_leaks=0"]))}


def mpirun(ranks, *arguments, **options):
    """The finished job."""
    options.setdefault("timeout", conftest.TIMEOUT)
    options.setdefault("env", ENVIRONMENT)
    return subprocess.run([*MPIRUN, "-n", str(ranks), conftest.PROGRAM, *map(str, arguments)],
                          capture_output=True, text=True, check=False, **options)


def own_lines(text):
    """Without what mpirun says, and without the progress of a slow run."""
    return [line for line in text.splitlines()
            if line.startswith("rhosweep: ") and not line.endswith(" left")]


def query(database, sql):
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()


def assert_same_tables(database, reference):
    assert_whole(database)
    for name in TABLES:
        assert table_text(name, database) == table_text(name, reference), name


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return sweep(tmp_path_factory.mktemp("alone") / "alone.db", *SHARED)


# ---- what is computed


@needs_mpi
@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_tables_do_not_depend_on_ranks(ranks, database, reference):
    done = mpirun(ranks, "sweep", "--quiet", "-o", database, *SHARED)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert_same_tables(database, reference)
    by = {rank for (rank,) in query(database, "SELECT DISTINCT rank FROM timings")}
    assert by <= set(range(ranks)) and len(by) >= min(ranks, 2), "others have their part"
    assert query(database, "SELECT workers, outcome FROM runs") == [(ranks, "done")]


@needs_mpi
def test_radii_found_by_other_ranks_are_kept(database, reference):
    mpirun(3, "sweep", "--quiet", "-o", database, *SHARED)
    radii = "SELECT matrix, radius FROM radii ORDER BY matrix"
    assert query(database, radii) == query(reference, radii)
    assert len(query(database, radii)) >= 300


@needs_mpi
def test_a_sweep_is_resumed_by_any_number_of_ranks(database, reference):
    half = [*SHARED[:-3], "1:150", *SHARED[-2:]]
    assert half[-3] == "1:150"
    sweep(database, *half)
    mpirun(3, "sweep", "--quiet", "-o", database, *SHARED[:-1], "0.5,1")
    done = mpirun(2, "sweep", "-o", database, *SHARED)
    assert done.returncode == 0, done.stderr
    assert re.match(r"300 of 600 cases done in .*, engine busy \d+%; 300 were already", done.stdout)
    assert_same_tables(database, reference)


@needs_mpi
def test_rank_0_alone_says_what_was_done(database):
    done = mpirun(3, "sweep", "-o", database, *SHARED)
    assert done.stdout.count("600 of 600 cases done") == 1
    assert done.stdout.count("Next:") == 1
    assert own_lines(done.stderr) == []
    again = mpirun(3, "sweep", "-o", database, *SHARED)
    assert "0 of 600 cases done" in again.stdout
    assert "600 were already in the database" in again.stdout


@needs_mpi
def test_ranks_share_a_shard(database, tmp_path, reference):
    parts = [tmp_path / "part0.db", tmp_path / "part1.db"]
    for i, part in enumerate(parts):
        done = mpirun(2, "sweep", "--quiet", "-o", part, *SHARED, "--shard", f"{i}/2")
        assert done.returncode == 0, done.stderr
        assert query(part, "SELECT count(*) FROM cases") == [(300,)]
    assert rhosweep("merge", database, *parts).returncode == 0
    assert_same_tables(database, reference)


@needs_mpi
def test_more_ranks_than_cases(database):
    done = mpirun(4, "sweep", "--quiet", "-o", database, "--hidden", 4, "--steps", 8, "--seeds", "1:2")
    assert done.returncode == 0, done.stderr
    assert {row["seeds"] for row in table("decay", database)} == {"2"}


@needs_mpi
def test_failed_cases_of_every_rank_are_rows(database):
    beyond = ["--h0", "normal:1e38", "--hidden", 40, "--steps", 200, "--seeds", "1:400", "--batch", 2]
    done = mpirun(3, "sweep", "-o", database, *beyond)
    assert done.returncode == 1
    lines = own_lines(done.stderr)
    failed = len(lines) - 1
    assert failed > 0 and table("failures", database)
    assert any(re.match("rhosweep: rank [12] on .*: a case failed: h0: ", line) for line in lines)
    assert f"sweep: {failed} of 400 cases failed" in lines[-1]


@needs_mpi
def test_devices_of_every_rank():
    done = mpirun(3, "devices")
    assert done.returncode == 0, done.stderr
    ranks = re.findall(r"^rank (\d) on (\S+)$", done.stdout, re.M)
    assert [rank for rank, _ in ranks] == ["0", "1", "2"]
    assert {host for _, host in ranks} == {os.uname().nodename}
    assert done.stdout.count("device 0") == 3 * rhosweep("devices").stdout.count("device 0")


@needs_mpi
def test_ranks_share_the_machine(database):
    """Its memory, and the processors where each may use all of them."""
    unbound = ENVIRONMENT | {"OMPI_MCA_hwloc_base_binding_policy": "none"}
    done = mpirun(2, "sweep", "--quiet", "--memory", "1G", "-o", database, *SHARED, env=unbound)
    assert done.returncode == 0, done.stderr
    threads = query(database, "SELECT DISTINCT threads FROM timings")
    assert threads == [(max(1, len(os.sched_getaffinity(0)) // 2),)]
    assert query(database, "SELECT memory FROM runs") == [(2**30 // 2,)]


# ---- what is refused


@pytest.mark.parametrize("variable", ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS",
                                      "SLURM_STEP_NUM_TASKS"])
def test_copies_without_mpi_are_refused(variable, database, tmp_path):
    program = tmp_path / "rhosweep"
    shutil.copy2(conftest.PROGRAM, program)
    done = subprocess.run([program, "sweep", "-o", database, "--hidden", "4"], capture_output=True,
                          text=True, check=False, env=os.environ | {variable: "2"})
    line = assert_one_line(done, 2)
    assert "2 processes were started" in line and variable in line
    assert not database.exists()


def test_a_batch_script_is_no_launcher(database):
    sweep(database, "--hidden", 4, "--steps", 8, env=os.environ | {"SLURM_NTASKS": "64"})


@needs_mpi
def test_a_launcher_of_another_mpi_is_refused(database):
    done = rhosweep("sweep", "-o", database, "--hidden", 4, env=ENVIRONMENT | {"PMI_SIZE": "2"})
    assert "is not that of the launcher" in assert_one_line(done, 2)
    assert not database.exists()


@needs_mpi
@pytest.mark.parametrize(("arguments", "says"), [
    (["sweep", "--hiddn", "4"], "--hiddn: unknown option"),
    (["sweep", "--hidden", "4", "-o", "/nowhere/x.db"], "there is no folder /nowhere"),
    (["sweep", "--hidden", "4", "--devices", "7"], "devices: 7: "),
    (["table", "decay", "x.db"], "only sweep and devices run in more than one"),
], ids=["option", "folder", "device", "table"])
def test_what_is_wrong_is_said_once(arguments, says):
    done = mpirun(3, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = own_lines(done.stderr)
    assert says in line and "rank" not in line


def pair(first, second, database):
    """A job of two ranks with options of their own."""
    common = [conftest.PROGRAM, "sweep", "--quiet", "-o", database, "--steps", "20"]
    command = [*MPIRUN, "-n", "1", *common, *first, ":", "-n", "1", *common, *second]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=conftest.TIMEOUT,
                          env=ENVIRONMENT)


@needs_mpi
@pytest.mark.parametrize("second", [["--hidden", "9"], ["--hidden", "8", "--rho", "0.5"],
                                    ["--hidden", "8", "--engine", "reference"],
                                    ["--hidden", "8", "--seeds", "1:3"]])
def test_ranks_that_disagree_write_nothing(second, database):
    done = pair(["--hidden", "8"], second, database)
    assert done.returncode == 2
    (line,) = own_lines(done.stderr)
    assert line.startswith("rhosweep: rank 1 on ") and "another command line" in line
    assert not database.exists()


@needs_mpi
def test_the_rank_that_fails_is_named(database):
    done = pair(["--hidden", "8"], ["--hidden", "8", "--devices", "5"], database)
    assert done.returncode == 2
    (line,) = own_lines(done.stderr)
    assert line.startswith(f"rhosweep: rank 1 on {os.uname().nodename}: devices: 5: ")
    assert not database.exists()


@needs_mpi
def test_ranks_may_differ_in_what_changes_no_result(database):
    done = pair(["--hidden", "8", "--threads", "1"], ["--hidden", "8", "--threads", "2", "--memory", "1G"],
                database)
    assert done.returncode == 0, done.stderr


# ---- how it ends


def start(database, ranks, options):
    return subprocess.Popen(
        [*MPIRUN, "-n", str(ranks), conftest.PROGRAM, "sweep", "--quiet", "-o", database,
         *map(str, options)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=ENVIRONMENT)


def ranks_of(job):
    """Process numbers by rank, of those there are."""
    found = {}
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(job.pid)], capture_output=True,
                              text=True, check=False).stdout.split()
    for pid in map(int, children):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                rank = re.search(rb"OMPI_COMM_WORLD_RANK=(\d+)", file.read())
        except OSError:
            continue
        if rank:
            found[int(rank[1])] = pid
    return found


def wait_until_it_computes(job, database, run=1):
    """Which is the database's so many-th run."""
    until = time.monotonic() + 60
    while job.poll() is None and time.monotonic() < until:
        try:
            if database.exists() and outcomes(database)[run - 1:] == ["running"]:
                return
        except sqlite3.OperationalError:
            pass  # being made
        time.sleep(0.01)
    raise AssertionError(job.communicate())


def is_gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def jobs():
    started = []
    yield started
    for job in started:
        job.kill()
        job.communicate()


def end(job, seconds=10):
    """What it said; it must end in time, with all of its ranks."""
    ranks = ranks_of(job)
    try:
        _, err = job.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        left = subprocess.run(["ps", "-o", "pid,stat,wchan:20,args", "-p", str(job.pid), "--ppid", str(job.pid)],
                              capture_output=True, text=True, check=False).stdout
        raise AssertionError(f"it still runs {seconds} s later:\n{left}") from None
    until = time.monotonic() + 2
    while not all(map(is_gone, ranks.values())) and time.monotonic() < until:
        time.sleep(0.05)
    assert all(map(is_gone, ranks.values())), "a rank is left behind"
    return err


@pytest.fixture(scope="module")
def long_reference(tmp_path_factory):
    return sweep(tmp_path_factory.mktemp("long") / "alone.db", *LONG)


@needs_mpi
def test_a_killed_rank_ends_the_job_which_is_resumed(database, jobs, long_reference):
    """Ten times, rank 0 and the others in turn, at random moments."""
    chance, kills = random.Random(), 0
    while kills < 10:
        run = len(outcomes(database)) + 1 if database.exists() else 1
        job = start(database, 3, LONG)
        jobs.append(job)
        wait_until_it_computes(job, database, run)
        time.sleep(chance.uniform(0.0, 0.7))
        victim = ranks_of(job).get(kills % 3)
        if victim is None or job.poll() is not None:  # it was done before: from the start again
            end(job)
            database.unlink()
            continue
        os.kill(victim, signal.SIGKILL)
        err = end(job)
        if job.returncode == 0:
            database.unlink()
            continue
        assert "exited on signal 9 (Killed)" in err, err
        assert_whole(database)
        kills += 1
    done = mpirun(3, "sweep", "--quiet", "-o", database, *LONG)
    assert done.returncode == 0, done.stderr
    for name in ("decay", "seeds"):
        assert table_text(name, database) == table_text(name, long_reference)


@needs_mpi
@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_job(name, database, jobs):
    """mpirun sends SIGTERM to the ranks, and a second later SIGKILL."""
    job = start(database, 3, ENDLESS)
    jobs.append(job)
    wait_until_it_computes(job, database)
    time.sleep(0.5)
    job.send_signal(name)
    err = end(job)
    (line,) = own_lines(err)
    assert "interrupted: " in line and "the same command finishes the rest" in line
    assert job.returncode != 0
    assert_whole(database)
    assert outcomes(database) == ["interrupted"]


@needs_mpi
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("options", [ENDLESS, [*EIGENVALUES[:-4], "--seeds", "1:60", *EIGENVALUES[-2:]]],
                         ids=["many", "eigenvalues"])
def test_a_signal_to_one_rank_ends_all(options, rank, database, jobs):
    """Also where their threads are in the midst of what takes minutes. Every rank has cases: one that
    has none left waits for the others in MPI, where it hears no signal."""
    job = start(database, 3, options)
    jobs.append(job)
    wait_until_it_computes(job, database)
    time.sleep(0.5)
    os.kill(ranks_of(job)[rank], signal.SIGINT)
    (line,) = own_lines(end(job, 10))
    assert "interrupted: " in line and "the same command finishes the rest" in line
    assert job.returncode == 130
    assert outcomes(database) == ["interrupted"]


@needs_mpi
def test_a_store_that_fails_ends_the_job(database, jobs):
    """Somebody else holds the database for longer than a writer waits."""
    job = start(database, 3, ENDLESS)
    jobs.append(job)
    wait_until_it_computes(job, database)
    with closing(sqlite3.connect(database, isolation_level=None, timeout=30)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        err = end(job, 30)
        holder.execute("ROLLBACK")
    (line,) = own_lines(err)
    assert job.returncode == 1 and "locked" in line


# ---- two machines

AGENT = """#!/bin/sh
# mpirun's way to the other machine: a network namespace with a host name of its own
shift
exec ip netns exec {name}-b unshare --uts sh -c "hostname node-b && $*"
"""


def try_run(*words):
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.fixture
def machines(tmp_path):
    """Two network namespaces with a wire between them: the words that run mpirun on both."""
    name = f"rs{os.getpid()}"
    a, b = f"{name}-a", f"{name}-b"
    made = [try_run("ip", "netns", "add", a), try_run("ip", "netns", "add", b),
            try_run("ip", "link", "add", f"{a}0", "netns", a, "type", "veth", "peer", "name", f"{b}0",
                    "netns", b)] if shutil.which("ip") and shutil.which("unshare") else []
    for space, address in ((a, "10.77.0.1/24"), (b, "10.77.0.2/24")):
        inside = ["ip", "netns", "exec", space, "ip"]
        if made and all(step.returncode == 0 for step in made):
            made += [try_run(*inside, "link", "set", "lo", "up"),
                     try_run(*inside, "addr", "add", address, "dev", f"{space}0"),
                     try_run(*inside, "link", "set", f"{space}0", "up")]
    try:
        if not made or any(step.returncode for step in made):
            pytest.skip("no network namespaces: " + "".join(step.stderr for step in made).strip())
        agent = tmp_path / "agent"
        agent.write_text(AGENT.format(name=name))
        agent.chmod(0o755)
        yield ["ip", "netns", "exec", a, "unshare", "--uts", "sh", "-c",
               'hostname node-a && exec "$@"', "sh", *MPIRUN, "--host", "10.77.0.1:1,10.77.0.2:1",
               "--mca", "plm_rsh_agent", agent, "--mca", "oob_tcp_if_include", "10.77.0.0/24",
               "--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", "10.77.0.0/24"]
    finally:
        for space in (a, b):
            try_run("ip", "netns", "del", space)


@needs_mpi
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_tables_of_two_machines(machines, database, reference):
    done = subprocess.run([*machines, conftest.PROGRAM, "sweep", "--quiet", "-o", database,
                           *map(str, SHARED)], capture_output=True, text=True, check=False,
                          timeout=conftest.TIMEOUT, env=ENVIRONMENT)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert_same_tables(database, reference)
    by = query(database, "SELECT DISTINCT rank, host FROM timings ORDER BY rank")
    assert by == [(0, "node-a"), (1, "node-b")]
