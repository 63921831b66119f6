-- Shows a database of version 1 (before curves were arrays) as one of version 2, as far as the
-- tables read it. rs_curve (host/store/upgrade.c) gathers the numbers of the steps into an array.

-- Version 1 wrote 'zero' also where a model's own start state was used. Columns that version3.sql
-- would add are here already: a view cannot be made on one of the same name.
CREATE TEMP VIEW cases AS
SELECT id, nonlinearity AS cell, ensemble, model_digest, hidden, steps, seed, batch, input,
       input_size, iif(model_digest <> '' AND h0 = 'zero', 'unrecorded', h0) AS h0, warmup, loss,
       fit_skip, '' AS gate_bias, '' AS gate_scale, '1' AS leak, precision, engine, raw, model, status,
       reason, run_id
FROM main.cases;

CREATE TEMP VIEW curves AS
SELECT point_id, rs_curve(step, log10_norm_mean) AS mean, rs_curve(step, log10_norm_min) AS min,
       rs_curve(step, log10_norm_max) AS max
FROM main.profile GROUP BY point_id;

CREATE TEMP VIEW runs AS
SELECT *, NULL AS isa, NULL AS engine_s, NULL AS wall_s, 1 AS workers FROM main.runs;
