-- Reads g(src, dst, rank, distance), a graph of knn_graph. Writes pair_features, one row for each of its edges.
--
-- What tells whether the two ends of an edge belong together, beside their distance: where each is among the other's
-- neighbors (rank_back is NULL where src is none of dst's), how much of their neighborhoods they share at two scales, and
-- how near they are for what is usual around each of them. For a classifier, whose probabilities then go in as `similarity`.

CREATE OR REPLACE TEMP TABLE pair_features_p AS FROM transition_matrix('g', sigma := 0.1);

CREATE OR REPLACE TEMP TABLE pair_features_q AS FROM transition_matrix('g', sigma := 0.05);

CREATE OR REPLACE TABLE pair_features AS
WITH around AS (
    SELECT src AS id, avg(distance) AS usual, avg(distance) FILTER (rank <= 5) AS nearest FROM g GROUP BY src
)
SELECT g.src, g.dst, g.distance, g.rank, back.rank AS rank_back, wide.distance AS tpdi_wide, narrow.distance AS tpdi_narrow,
       a.usual - g.distance AS nearer_src, b.usual - g.distance AS nearer_dst,
       g.distance / nullif(a.nearest, 0) AS ratio_src, g.distance / nullif(b.nearest, 0) AS ratio_dst
FROM g
JOIN tpdi('pair_features_p') wide USING (src, dst)
JOIN tpdi('pair_features_q') narrow USING (src, dst)
JOIN around a ON a.id = g.src
JOIN around b ON b.id = g.dst
LEFT JOIN g back ON back.src = g.dst AND back.dst = g.src
ORDER BY g.src, g.rank;

DROP TABLE pair_features_p;

DROP TABLE pair_features_q;
