-- Shows a database of version 5 (before exponents and singular values) as one of version 6.

CREATE TEMP VIEW lyapunov AS
SELECT NULL AS point_id, NULL AS directions, NULL AS transient, NULL AS qr_asked, NULL AS qr_every,
       NULL AS exponents, NULL AS standard_errors, NULL AS predicted, NULL AS log_slope,
       NULL AS sum_rule_residual
WHERE false;

CREATE TEMP VIEW singular_values AS
SELECT NULL AS point_id, NULL AS transient, NULL AS qr_asked, NULL AS at, NULL AS logs WHERE false;
