-- WALL 2: the results database. host/store/ writes it, the tables and the Python reports read it.
--
-- A sweep is made of cases: one seed and one set of sizes and settings. A case has a point for every
-- spectral radius, and a point has a curve: the gradient norm at every step. Everything of a case
-- is written in one transaction. Infinite numbers are stored as they are, NaN as NULL.
--
-- PRAGMA user_version counts the versions of this file; application_id is 'RHOS'. versionN.sql shows
-- a database of version N as one of version N + 1, upgradeN.sql makes it one.

PRAGMA application_id = 0x52484F53;
PRAGMA user_version = 6;

-- Every invocation of `rhosweep sweep` that came to the point of computing.
CREATE TABLE runs (
    id           INTEGER PRIMARY KEY,
    started      TEXT NOT NULL, -- UTC, as in 2025-01-31T12:34:56.789Z
    finished     TEXT,          -- likewise; NULL while running, and for ever if it was killed
    outcome      TEXT NOT NULL, -- 'running', then how it ended; 'killed' where it could not say so,
                                -- as also on a full disk: found by the next sweep
    version      TEXT,          -- of rhosweep
    git_commit   TEXT,          -- of rhosweep's source
    libraries    TEXT,          -- names and versions of the libraries in use: see radii
    host         TEXT,          -- name of the machine
    system       TEXT,          -- kernel and architecture
    engine       TEXT,          -- 'cpu', 'cuda', 'reference'
    device       TEXT,          -- processor or GPU by name
    driver       TEXT,          -- versions of driver and runtime, '' where there is none
    threads      INTEGER,       -- CPU threads the run could use
    memory       INTEGER,       -- bytes the run could use
    command_line TEXT,          -- as typed
    spec         TEXT,          -- INI text that asks for the same sweep again
    isa          TEXT,          -- instruction set of the engine's kernels, '' where it has no choice
    engine_s     REAL,          -- seconds that the engine computed; NULL until finished
    wall_s       REAL,          -- seconds from start to end; likewise
    workers      INTEGER        -- devices that computed at once: engine_s is the sum over them. The
                                -- columns from host on tell of the first; see timings
) STRICT;

-- One seed and shape. All columns down to `raw` are its identity: what its results depend on,
-- apart from the radius.
CREATE TABLE cases (
    id           INTEGER PRIMARY KEY,
    cell         TEXT NOT NULL,    -- 'tanh', 'relu', 'linear', 'lstm', 'gru'
    ensemble     TEXT NOT NULL,    -- 'gaussian', 'uniform', ...; 'model' for imported weights
    model_digest TEXT NOT NULL,    -- of the imported arrays, 16 hexadecimal digits; '' without
    hidden       INTEGER NOT NULL, -- H, units
    steps        INTEGER NOT NULL, -- T, recorded steps
    seed         INTEGER NOT NULL, -- of all random numbers; seeds from 2^63 on less 2^64
    batch        INTEGER NOT NULL, -- B, samples
    input        TEXT NOT NULL,    -- 'zero', 'pytorch', 'noise:SIGMA'
    input_size   INTEGER NOT NULL, -- I, features of an input of 'pytorch'; 0 for the others
    h0           TEXT NOT NULL,    -- start state: 'zero', 'normal:SIGMA', 'model' for the model's;
                                   -- 'unrecorded' where version 1 did not tell the model's from zero
    warmup       INTEGER NOT NULL, -- forward steps before the recorded ones, a transient's included
    loss         TEXT NOT NULL,    -- 'last-mean', 'all-mean', 'random'
    fit_skip     INTEGER NOT NULL, -- steps next to the loss that the decay rate leaves out
    gate_bias    TEXT NOT NULL,    -- of the memory gate of lstm and gru: 'drawn', '1', 'chrono:50';
                                   -- '' for cells without gates
    gate_scale   TEXT NOT NULL,    -- what the radius scales: 'same', all gates, 'native', the
                                   -- candidate alone; '' for cells without gates
    leak         TEXT NOT NULL,    -- A of h_t = (1 - A) h_{t-1} + A phi(a_t): '1', '0.5'; '' for lstm
                                   -- and gru
    precision    TEXT NOT NULL,    -- 'f32', 'f64'
    engine       TEXT NOT NULL,    -- 'cpu', 'cuda', 'reference'; with a suffix where its bits
                                   -- differ: 'cpu-baseline' without FMA, 'cuda-PATH' where forced
    raw          INTEGER NOT NULL, -- 1: plain arithmetic without range extension; else 0
    model        TEXT NOT NULL,    -- file name of the imported weights, '' without
    status       TEXT NOT NULL CHECK (status IN ('done', 'failed')), -- of the latest attempt
    reason       TEXT,             -- why it failed; NULL if done
    run_id       INTEGER NOT NULL REFERENCES runs (id), -- of the latest attempt
    UNIQUE (cell, ensemble, model_digest, hidden, steps, seed, batch, input, input_size,
            h0, warmup, loss, fit_skip, gate_bias, gate_scale, leak, precision, engine, raw)
) STRICT;

-- One spectral radius of a case. Steps "back" count from the loss: 0 is T itself. Gradients leave
-- the range of a number format where the norm, spread evenly over its elements (H, or 2 H of a pair),
-- rounds to 0 (smallest sample) or exceeds the largest finite number (largest sample).
CREATE TABLE points (
    id                 INTEGER PRIMARY KEY,
    case_id            INTEGER NOT NULL REFERENCES cases (id),
    run_id             INTEGER NOT NULL REFERENCES runs (id), -- that computed it
    rho_asked          REAL,    -- spectral radius asked for; NULL for native, the matrix as it is
    rho                REAL,    -- spectral radius reached, measured
    g                  REAL,    -- coupling |W_hh|_F / sqrt(H)
    decay_rate         REAL,    -- nats per step, positive vanishes; NULL where there is none
    forward_nonfinite  INTEGER, -- first recorded step t whose state is inf or NaN; NULL for never
    fp32_underflow     INTEGER, -- first step back where fp32 gradients become 0; NULL for never
    fp32_overflow      INTEGER, -- first step back where fp32 gradients become inf; NULL for never
    fp16_underflow     INTEGER, -- the same for IEEE half precision
    fp16_overflow      INTEGER,
    bf16_underflow     INTEGER, -- the same for bfloat16
    bf16_overflow      INTEGER,
    backward_nonfinite INTEGER  -- first step back whose norm is inf or NaN as computed; or NULL
) STRICT;

-- A radius is positive, so -1 can stand for native.
CREATE UNIQUE INDEX points_identity ON points (case_id, ifnull(rho_asked, -1));

-- log10 |delta_t| over the samples of the batch at t = 1 .. T, as T float64 each, little-endian; -inf
-- where the gradient is exactly 0. The mean is that of the other samples; -inf where there are none.
-- |delta_t| is |dL/dh_t|, or sqrt(|dL/dh_t|^2 + |dL/dc_t|^2) where the state is a pair, as an LSTM's
-- is: the decay rate is fitted to its mean. No row for a point of a sweep with --profiles no.
CREATE TABLE curves (
    point_id INTEGER PRIMARY KEY REFERENCES points (id),
    mean     BLOB NOT NULL,
    min      BLOB, -- NULL with a batch of 1, where all three are the same
    max      BLOB, -- likewise
    zero     BLOB  -- fraction of samples whose gradient is exactly 0; NULL where none ever is
) STRICT;

-- log10 |dL/dh_t| and log10 |dL/dc_t| alone, likewise: of points that have a curve and whose state is
-- a pair, both.
CREATE TABLE state_curves (
    point_id INTEGER NOT NULL REFERENCES points (id),
    state    TEXT NOT NULL CHECK (state IN ('h', 'c')),
    mean     BLOB NOT NULL,
    min      BLOB, -- NULL as in curves
    max      BLOB,
    zero     BLOB,
    PRIMARY KEY (point_id, state)
) STRICT;

-- Norms of the weights' gradients at a point, each as log10 of the Frobenius norm: -inf for 0, inf
-- for inf, NULL for NaN. No row for a point that no sweep with --clip has asked for.
CREATE TABLE gradients (
    point_id  INTEGER PRIMARY KEY REFERENCES points (id),
    weight_ih REAL,
    weight_hh REAL,
    bias_ih   REAL,
    bias_hh   REAL
) STRICT;

-- The norms that sweeps with --clip asked to clip a case's gradients to. What that does to them
-- follows from the norms of its points (host/fit/clip.h).
CREATE TABLE clips (
    case_id  INTEGER NOT NULL REFERENCES cases (id),
    max_norm REAL NOT NULL,
    run_id   INTEGER NOT NULL REFERENCES runs (id), -- that asked first
    PRIMARY KEY (case_id, max_norm)
) STRICT, WITHOUT ROWID;

-- Lyapunov exponents of a point, in nats per step: of so many directions, whose tangents are carried
-- from `transient` steps before the recorded ones on, and made orthonormal every `qr_asked` steps, or
-- as often as their spread wants it where that is 0. In the mean over the samples.
CREATE TABLE lyapunov (
    point_id          INTEGER NOT NULL REFERENCES points (id),
    directions        INTEGER NOT NULL, -- k, 1 .. H; .. 2 H where the state is a pair
    transient         INTEGER NOT NULL,
    qr_asked          INTEGER NOT NULL,
    qr_every          INTEGER NOT NULL, -- most steps between two QRs of recorded steps
    exponents         BLOB NOT NULL, -- k float64, little-endian, descending; NaN where not finite
    standard_errors   BLOB NOT NULL, -- k float64, by batch means; NaN with fewer than two batches
    predicted         BLOB, -- k float64, descending, ln |eigenvalue| of a linear cell's Jacobian
    log_slope         REAL, -- mean of ln phi'(a) over steps and units; NULL for cells that have none
    sum_rule_residual REAL, -- mean exponent - ln|det W_hh| / H - log_slope; NULL where not known
    PRIMARY KEY (point_id, directions, transient, qr_asked)
) STRICT;

-- Singular values of the product of the Jacobians of the first `at` recorded steps: ln of each, as
-- float64 like curves, descending; S H of them; the mean over the samples. -inf for 0.
CREATE TABLE singular_values (
    point_id  INTEGER NOT NULL REFERENCES points (id),
    transient INTEGER NOT NULL,
    qr_asked  INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    logs      BLOB NOT NULL,
    PRIMARY KEY (point_id, transient, qr_asked, at)
) STRICT;

-- What a case cost in one run.
CREATE TABLE timings (
    case_id    INTEGER NOT NULL REFERENCES cases (id),
    run_id     INTEGER NOT NULL REFERENCES runs (id),
    radii      INTEGER NOT NULL, -- R, radii computed
    columns    INTEGER NOT NULL, -- R * B
    device     TEXT,             -- that computed, by name
    threads    INTEGER,          -- of the processor that it could use
    forward_s  REAL,             -- seconds of the forward passes, packing and input included
    backward_s REAL,             -- seconds of the backward passes, norms included
    transfer_s REAL,             -- seconds of the transfers to and from the device, in neither
    host         TEXT,           -- name of the machine that the device is in
    rank         INTEGER,        -- of the process in an MPI job; 0 without one
    device_index INTEGER,        -- of the engine's devices there, from 0
    PRIMARY KEY (case_id, run_id)
) STRICT, WITHOUT ROWID;

-- Spectral radii found so far, so that no sweep solves an eigenvalue problem again: of each matrix of
-- 32 rows and more, as drawn or imported, and as scaled and rounded. It is known by its elements, so
-- neither the drawing of matrices nor precision matters here. Eigenvalues differ in their last bits
-- between versions of LAPACK, processors, and versions of rhosweep's own code for them. All these are
-- in runs.libraries; a radius found by a run of other libraries than today's is not used, and is
-- replaced by a new one. Results are thus the same bits with and without this table.
CREATE TABLE radii (
    hidden INTEGER NOT NULL, -- rows of the matrix
    matrix INTEGER NOT NULL, -- digest of its float64 elements, 64 bits
    radius REAL NOT NULL,    -- largest |eigenvalue|
    run_id INTEGER NOT NULL REFERENCES runs (id), -- that found it
    PRIMARY KEY (hidden, matrix)
) STRICT, WITHOUT ROWID;
