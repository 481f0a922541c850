-- Reads g(src, dst, distance), parameters(kernel, sigma). Writes p(src, dst, probability).
--
--     p_ij = s_ij / sum_j s_ij,   s_ii = 1,   s_ij = exp(-distance / sigma)   or   max(0, 1 - distance)
--
-- A similarity from elsewhere goes in as distance = 1 - similarity with kernel 'linear'.
-- An edge of similarity 0 stays, with probability 0.

DROP TABLE IF EXISTS p;
CREATE TABLE p AS
WITH edges AS (
    SELECT src, dst, CAST(distance AS DOUBLE PRECISION) AS distance FROM g WHERE src <> dst
),
similarities AS (
    SELECT id AS src, id AS dst, CAST(1 AS DOUBLE PRECISION) AS similarity
    FROM (SELECT src AS id FROM g UNION SELECT dst FROM g) AS points
    UNION ALL
    SELECT src, dst,
        CASE WHEN kernel = 'exp'                         THEN EXP(-distance / sigma)
             WHEN kernel = 'linear' AND distance < 1     THEN 1 - distance
             WHEN kernel = 'linear'                      THEN 0 END
    FROM edges CROSS JOIN parameters
),
totals AS (
    SELECT src, SUM(similarity ORDER BY dst) AS total FROM similarities GROUP BY src
)
SELECT s.src, s.dst, s.similarity / t.total AS probability
FROM similarities AS s JOIN totals AS t ON t.src = s.src;
