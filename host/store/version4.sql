-- Shows a database of version 4 (before runs of several devices) as one of version 5.

-- Unless version1.sql has made it.
CREATE TEMP VIEW IF NOT EXISTS runs AS SELECT *, 1 AS workers FROM main.runs;

CREATE TEMP VIEW timings AS
SELECT t.*, r.host, 0 AS rank, 0 AS device_index
FROM main.timings t JOIN main.runs r ON r.id = t.run_id;
