-- Shows a database of version 3 (before cells with gates, and leaky ones) as one of version 4.

-- Unless version1.sql has made it.
CREATE TEMP VIEW IF NOT EXISTS cases AS
SELECT *, '' AS gate_bias, '' AS gate_scale, '1' AS leak FROM main.cases;

CREATE TEMP VIEW state_curves AS
SELECT NULL AS point_id, NULL AS state, NULL AS mean, NULL AS min, NULL AS max, NULL AS zero
WHERE false;
