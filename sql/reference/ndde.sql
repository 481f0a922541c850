-- Reads p(src, dst, probability), parameters(epsilon, max_iterations). Writes r(id, density).
--
--     rho(0) = 1,   rho(t+1) = P^T rho(t),   until ||rho(t+1) - rho(t)||_2 <= epsilon   or   t+1 = max_iterations
--
-- A recursive query may name itself only once in most engines. So the density before the step does not come from a
-- second look at it, but along the edges: each point has an edge to itself, if only the one of weight 0 added here.

DROP TABLE IF EXISTS r;
CREATE TABLE r AS
WITH RECURSIVE weights AS (
    SELECT src, dst, probability FROM p
    UNION ALL
    SELECT DISTINCT src, src, CAST(0 AS DOUBLE PRECISION) FROM p
),
steps (step, id, density, change) AS (
    SELECT 0, id, CAST(1 AS DOUBLE PRECISION), CAST(NULL AS DOUBLE PRECISION)     -- no change known yet
    FROM (SELECT DISTINCT src AS id FROM p) AS points
    UNION ALL
    SELECT step, id, density, SQRT(SUM((density - previous) * (density - previous)) OVER ())
    FROM (
        SELECT
            MAX(step) + 1                                          AS step,
            dst                                                    AS id,
            SUM(flow ORDER BY src)                                 AS density,
            MAX(CASE WHEN src = dst THEN density END)              AS previous
        FROM (
            SELECT s.step, w.src, w.dst, s.density, w.probability * s.density AS flow
            FROM steps AS s
            JOIN weights AS w ON w.src = s.id
            CROSS JOIN parameters
            WHERE s.step < max_iterations AND (s.change IS NULL OR s.change > epsilon)
        ) AS flows
        GROUP BY dst
    ) AS stepped
)
SELECT id, density
FROM steps
WHERE step = (SELECT MAX(step) FROM steps);
