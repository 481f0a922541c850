-- 3,891 records of 2,000 songs, from five sources that each spell them another way. Every record has an embedding of
-- its text; records of one song should land in one cluster. `label` is the true song, used only to score the result.
CREATE VIEW songs AS FROM 'data/songs.parquet';

-- The whole pipeline in one call, with nothing set: the distances say what belongs together.
CREATE TABLE clusters AS FROM cluster_embeddings('songs');

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
SELECT count(DISTINCT cluster_id) AS clusters, round(pairwise_f(label, cluster_id).f, 3) AS pairwise_f,
       round(bcubed_f(label, cluster_id).f, 3) AS bcubed_f
FROM songs JOIN clusters USING (id);
