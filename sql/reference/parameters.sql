-- Writes parameters: one row, the arguments of all stages with the extension's defaults.
-- Change a value with UPDATE parameters SET …, then run the stages again.

DROP TABLE IF EXISTS parameters;
CREATE TABLE parameters AS
SELECT
    80                               AS k,              -- neighbours a point, itself not counted
    'cosine'                         AS metric,         -- 'cosine', 'ip' or 'l2sq'
    'exp'                            AS kernel,         -- 'exp' or 'linear'
    CAST(0.1  AS DOUBLE PRECISION)   AS sigma,          -- width of the exp kernel
    CAST(0.05 AS DOUBLE PRECISION)   AS epsilon,        -- density stops when its step is no longer than this
    100                              AS max_iterations, -- … or after so many steps
    CAST(0.7  AS DOUBLE PRECISION)   AS tau;            -- a point joins its parent below this distance
