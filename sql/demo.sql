-- 3,891 records of 2,000 songs, from five sources that each spell them another way. Every record has an embedding of
-- its text; records of one song should land in one cluster. `label` is the true song, used only to score the result.
CREATE VIEW songs AS FROM 'data/songs.parquet';

-- The whole pipeline in one call: 10 nearest neighbors, and records join while their neighborhoods overlap.
CREATE TABLE clusters AS FROM cluster_embeddings('songs', k := 10, sigma := 0.08, tau := 0.65);

-- The same song from several sources, side by side.
SELECT cluster_id AS cluster, source, title, artist, album, year, length
FROM songs JOIN clusters USING (id)
WHERE cluster_id IN (
    SELECT cluster_id FROM songs JOIN clusters USING (id)
    GROUP BY cluster_id HAVING count(*) = 5 AND count(DISTINCT source) = 5 ORDER BY cluster_id LIMIT 4)
ORDER BY cluster, source;

-- How large the clusters are.
SELECT records, count(*) AS clusters
FROM (SELECT count(*) AS records FROM clusters GROUP BY cluster_id)
GROUP BY records ORDER BY records;

-- Against the truth. Pairwise: of all pairs of records put together, how many belong together (precision), and the
-- other way round (recall). BCubed: the same, as a mean over records.
WITH cells AS (
    SELECT cluster_id, label, count(*)::DOUBLE AS n FROM songs JOIN clusters USING (id) GROUP BY ALL
), sizes AS (
    SELECT *, sum(n) OVER (PARTITION BY cluster_id) AS predicted, sum(n) OVER (PARTITION BY label) AS actual FROM cells
), pairs AS (
    SELECT sum(n * (n - 1)) / sum(n * (predicted - 1)) AS pair_precision,
           sum(n * (n - 1)) / sum(n * (actual - 1))    AS pair_recall,
           sum(n * n / predicted) / sum(n)             AS bcubed_precision,
           sum(n * n / actual) / sum(n)                AS bcubed_recall
    FROM sizes
)
SELECT (SELECT count(DISTINCT cluster_id) FROM clusters) AS clusters,
       round(2 * pair_precision * pair_recall / (pair_precision + pair_recall), 3)           AS pairwise_f,
       round(2 * bcubed_precision * bcubed_recall / (bcubed_precision + bcubed_recall), 3)   AS bcubed_f
FROM pairs;
