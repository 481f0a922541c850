-- Stage by stage over tables, and all in one call: seconds of each, and how right the clusters are.
INSERT INTO clock (step) VALUES (NULL);

CREATE TABLE g AS FROM knn_graph('faces', k := 80);

INSERT INTO clock (step) VALUES ('knn_graph');

CREATE TABLE p AS FROM transition_matrix('g');

INSERT INTO clock (step) VALUES ('transition_matrix');

CREATE TABLE r AS FROM ndde('p');

INSERT INTO clock (step) VALUES ('ndde');

CREATE TABLE d AS FROM tpdi('p');

INSERT INTO clock (step) VALUES ('tpdi');

CREATE TABLE c AS FROM dpc_cluster('r', 'd', tau := 0.7);

INSERT INTO clock (step) VALUES ('dpc_cluster');

CREATE TABLE one_call AS FROM cluster_embeddings('faces', k := 80, sigma := 0.1, tau := 0.7);

INSERT INTO clock (step) VALUES ('cluster_embeddings');

FROM steps;

SELECT count(DISTINCT cluster_id) AS clusters, round(pairwise_f(identity, cluster_id).f, 4) AS pairwise_f,
       round(bcubed_f(identity, cluster_id).f, 4) AS bcubed_f,
       (SELECT count(*) FROM c JOIN one_call o USING (id) WHERE c.cluster_id <> o.cluster_id) AS different
FROM c JOIN faces USING (id);
