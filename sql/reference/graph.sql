-- Reads faces(id, embedding), parameters(k, metric). Writes g(src, dst, rank, distance).
--
-- The exact k-NN graph: every pair is measured, and equal distances order by id. The list_* functions are DuckDB's;
-- all else here is standard. A distance is computed in double precision and rounded once, to REAL, before it is ranked.

DROP TABLE IF EXISTS g;
CREATE TABLE g AS
WITH points AS (
    SELECT id, CAST(embedding AS DOUBLE[]) AS embedding FROM faces
),
pairs AS (
    SELECT
        a.id AS src,
        b.id AS dst,
        CAST(CASE metric
                 WHEN 'cosine' THEN list_cosine_distance(a.embedding, b.embedding)
                 WHEN 'ip'     THEN 1 - list_inner_product(a.embedding, b.embedding)
                 WHEN 'l2sq'   THEN power(list_distance(a.embedding, b.embedding), 2)
             END AS REAL) AS distance
    FROM points AS a
    JOIN points AS b ON a.id <> b.id
    CROSS JOIN parameters
),
ranked AS (
    SELECT src, dst, distance, ROW_NUMBER() OVER (PARTITION BY src ORDER BY distance, dst) AS rank
    FROM pairs
)
SELECT src, dst, CAST(rank AS INTEGER) AS rank, distance
FROM ranked CROSS JOIN parameters
WHERE rank <= k;
