-- Turns a database of version 4 into one of version 5, in a transaction of the caller's.

ALTER TABLE main.runs ADD COLUMN workers INTEGER;
UPDATE main.runs SET workers = 1;

ALTER TABLE main.timings ADD COLUMN host TEXT;
ALTER TABLE main.timings ADD COLUMN rank INTEGER;
ALTER TABLE main.timings ADD COLUMN device_index INTEGER;
UPDATE main.timings SET rank = 0, device_index = 0,
                        host = (SELECT host FROM main.runs WHERE id = run_id);

PRAGMA user_version = 5;
