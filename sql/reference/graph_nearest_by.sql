-- Reads faces(id, embedding). Writes g(src, dst, rank, distance), the same rows as graph.sql with k = 80 and cosine.
--
-- DuckDB's own NEAREST BY join (2.0 on). Its count is part of the syntax, a literal: replace the 80 for another k.
-- It sorts by ONE expression and drops candidates where that is NULL, so the expression leaves the point itself out and
-- holds the id beside the distance: without the id, which of two equal distances is kept depends on the order of rows.

DROP TABLE IF EXISTS g;
CREATE TABLE g AS
WITH points AS (
    SELECT id, CAST(embedding AS DOUBLE[]) AS embedding FROM faces
),
nearest AS (
    SELECT a.id AS src, b.id AS dst, CAST(list_cosine_distance(a.embedding, b.embedding) AS REAL) AS distance
    FROM points AS a
    JOIN points AS b EXACT NEAREST 80 BY DISTANCE
        CASE WHEN a.id <> b.id
             THEN row(CAST(list_cosine_distance(a.embedding, b.embedding) AS REAL), b.id) END
)
SELECT src, dst, CAST(ROW_NUMBER() OVER (PARTITION BY src ORDER BY distance, dst) AS INTEGER) AS rank, distance
FROM nearest;
