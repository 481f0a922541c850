-- 3,891 records of 2,000 songs, as five sources spell them
CREATE TABLE songs AS FROM 'data/songs.parquet';

-- Clustered by their embeddings
CREATE TABLE clusters AS FROM cluster_embeddings('songs');

-- Three of the clusters
SELECT cluster_id AS cluster, source, title, artist, album, year FROM songs JOIN clusters USING (id)
WHERE cluster_id IN (1, 19, 28) ORDER BY ALL;

-- Against the true songs: the share of pairs, and of records, that are right
SELECT count(DISTINCT cluster_id) AS clusters, round(pairwise_f(label, cluster_id).f, 3) AS pairwise_f,
       round(bcubed_f(label, cluster_id).f, 3) AS bcubed_f
FROM songs JOIN clusters USING (id);
