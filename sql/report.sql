-- The songs, their transition matrix and clusters in a database file, for scripts/report.py.
ATTACH 'build/songs.db' AS file;

CREATE OR REPLACE TABLE file.songs AS FROM 'data/songs.parquet';
CREATE OR REPLACE TABLE file.p AS FROM transition_matrix(knn_graph('file.songs', k := 10), sigma := 0.08);
CREATE OR REPLACE TABLE file.clusters AS FROM dpc_cluster(ndde('file.p'), tpdi('file.p'), tau := 0.65);

DETACH file;
