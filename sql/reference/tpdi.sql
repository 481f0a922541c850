-- Reads p(src, dst, probability). Writes d(src, dst, distance), one row per edge that is no self-loop.
--
--     d_ij = 1 - sum_c sqrt(p_ic p_jc)   over the columns c that rows i and j have in common, their own among them
--
-- Rounding can take the sum just over 1; the distance then is 0.

DROP TABLE IF EXISTS d;
CREATE TABLE d AS
SELECT src, dst, CASE WHEN overlap < 1 THEN 1 - overlap ELSE 0 END AS distance
FROM (
    SELECT e.src, e.dst, COALESCE(SUM(SQRT(i.probability * j.probability) ORDER BY i.dst), 0) AS overlap
    FROM p AS e
    JOIN p AS i ON i.src = e.src
    LEFT JOIN p AS j ON j.src = e.dst AND j.dst = i.dst
    WHERE e.src <> e.dst
    GROUP BY e.src, e.dst
) AS sums;
