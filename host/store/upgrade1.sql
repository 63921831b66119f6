-- Turns a database of version 1 into one of version 2, in a transaction of the caller's, after
-- version1.sql.

CREATE TABLE main.curves (
    point_id INTEGER PRIMARY KEY REFERENCES points (id),
    mean     BLOB NOT NULL,
    min      BLOB, -- NULL with a batch of 1, where all three are the same
    max      BLOB, -- likewise
    zero     BLOB
) STRICT;

CREATE TABLE main.radii (
    hidden INTEGER NOT NULL, -- rows of the matrix
    matrix INTEGER NOT NULL, -- digest of its float64 elements, 64 bits
    radius REAL NOT NULL,    -- largest |eigenvalue|
    run_id INTEGER NOT NULL REFERENCES runs (id), -- that found it
    PRIMARY KEY (hidden, matrix)
) STRICT, WITHOUT ROWID;

INSERT INTO main.curves (point_id, mean, min, max)
SELECT v.point_id, v.mean, iif(c.batch = 1, NULL, v.min), iif(c.batch = 1, NULL, v.max)
FROM temp.curves v JOIN main.points p ON p.id = v.point_id JOIN main.cases c ON c.id = p.case_id;

UPDATE main.cases SET h0 = 'unrecorded'
WHERE id IN (SELECT id FROM temp.cases WHERE h0 = 'unrecorded');

DROP VIEW temp.cases;
DROP VIEW temp.curves;
DROP VIEW temp.runs;
DROP TABLE main.profile;
ALTER TABLE main.cases RENAME COLUMN nonlinearity TO cell;
ALTER TABLE main.runs ADD COLUMN isa TEXT;
ALTER TABLE main.runs ADD COLUMN engine_s REAL;
ALTER TABLE main.runs ADD COLUMN wall_s REAL;
ALTER TABLE main.timings ADD COLUMN transfer_s REAL;
PRAGMA user_version = 2;
