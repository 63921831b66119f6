-- Shows a database of version 2 (before gradients of weights) as one of version 3.

CREATE TEMP VIEW gradients AS
SELECT NULL AS point_id, NULL AS weight_ih, NULL AS weight_hh, NULL AS bias_ih, NULL AS bias_hh
WHERE false;

CREATE TEMP VIEW clips AS SELECT NULL AS case_id, NULL AS max_norm, NULL AS run_id WHERE false;
