-- What it takes to hand the edges of a graph to a table, beside DuckDB's own copy of that table.
INSERT INTO clock (step) VALUES (NULL);

CREATE TABLE counted AS SELECT count(*) AS edges FROM knn_graph('faces', k := 80);

INSERT INTO clock (step) VALUES ('graph, its edges counted');

CREATE TABLE g AS FROM knn_graph('faces', k := 80);

INSERT INTO clock (step) VALUES ('graph, its edges stored');

CREATE TABLE copy AS FROM g;

INSERT INTO clock (step) VALUES ('copy of the table');

FROM steps;
