-- The k-NN graph by each method: seconds, and the share of the exact neighbors, all and of the same identity.
INSERT INTO clock (step) VALUES (NULL);

CREATE TABLE exact AS FROM knn_graph('faces', k := 80, method := 'exact');

INSERT INTO clock (step) VALUES ('exact');

CREATE TABLE nn_descent AS FROM knn_graph('faces', k := 80, method := 'nn_descent');

INSERT INTO clock (step) VALUES ('nn_descent');

CREATE TABLE half AS FROM knn_graph('faces', k := 80, method := 'exact', precision := 'f16');

INSERT INTO clock (step) VALUES ('exact, f16');

FROM steps;

WITH found AS (
    SELECT 'nn_descent' AS graph, src, dst FROM nn_descent UNION ALL SELECT 'exact, f16', src, dst FROM half
), edges AS (
    SELECT src, dst, a.identity = b.identity AS same
    FROM exact JOIN faces a ON a.id = src JOIN faces b ON b.id = dst
)
SELECT graph, round(count(*) / (SELECT count(*) FROM edges), 4) AS recall,
       round(count(*) FILTER (same) / (SELECT count(*) FROM edges WHERE same), 4) AS same_identity
FROM found JOIN edges USING (src, dst) GROUP BY graph ORDER BY graph;
