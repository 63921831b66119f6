-- Turns a database of version 2 into one of version 3, in a transaction of the caller's.

CREATE TABLE main.gradients (
    point_id  INTEGER PRIMARY KEY REFERENCES points (id),
    weight_ih REAL,
    weight_hh REAL,
    bias_ih   REAL,
    bias_hh   REAL
) STRICT;

CREATE TABLE main.clips (
    case_id  INTEGER NOT NULL REFERENCES cases (id),
    max_norm REAL NOT NULL,
    run_id   INTEGER NOT NULL REFERENCES runs (id), -- that asked first
    PRIMARY KEY (case_id, max_norm)
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 3;
