-- Turns a database of version 5 into one of version 6, in a transaction of the caller's.

CREATE TABLE main.lyapunov (
    point_id          INTEGER NOT NULL REFERENCES points (id),
    directions        INTEGER NOT NULL,
    transient         INTEGER NOT NULL,
    qr_asked          INTEGER NOT NULL,
    qr_every          INTEGER NOT NULL,
    exponents         BLOB NOT NULL,
    standard_errors   BLOB NOT NULL,
    predicted         BLOB,
    log_slope         REAL,
    sum_rule_residual REAL,
    PRIMARY KEY (point_id, directions, transient, qr_asked)
) STRICT;

CREATE TABLE main.singular_values (
    point_id  INTEGER NOT NULL REFERENCES points (id),
    transient INTEGER NOT NULL,
    qr_asked  INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    logs      BLOB NOT NULL,
    PRIMARY KEY (point_id, transient, qr_asked, at)
) STRICT;

PRAGMA user_version = 6;
