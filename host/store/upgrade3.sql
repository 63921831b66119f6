-- Turns a database of version 3 into one of version 4, in a transaction of the caller's, where foreign
-- keys are off: the constraint of a table does not change, so that it is made anew.

CREATE TABLE main.new_cases (
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
    warmup       INTEGER NOT NULL, -- forward steps before the recorded ones
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

INSERT INTO main.new_cases
SELECT id, cell, ensemble, model_digest, hidden, steps, seed, batch, input, input_size, h0, warmup,
       loss, fit_skip, '', '', '1', precision, engine, raw, model, status, reason, run_id
FROM main.cases;

DROP TABLE main.cases;
ALTER TABLE main.new_cases RENAME TO cases;

CREATE TABLE main.state_curves (
    point_id INTEGER NOT NULL REFERENCES points (id),
    state    TEXT NOT NULL CHECK (state IN ('h', 'c')),
    mean     BLOB NOT NULL,
    min      BLOB, -- NULL as in curves
    max      BLOB,
    zero     BLOB,
    PRIMARY KEY (point_id, state)
) STRICT;

PRAGMA user_version = 4;
