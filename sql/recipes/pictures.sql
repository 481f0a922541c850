-- Makes table macros that draw. Each reads a relation by its name and returns one row with one column `vega_lite`: a
-- Vega-Lite 5 specification with its data inside, which notebooks show as they show a table. docs/pictures.md has them.
--
--   picture_decision_graph(graph, tau := NULL)          density, delta: decision_graph(...), or clusters
--   picture_sizes(clusters)                             cluster_id
--   picture_tau_scores(sweep)                           what tau_sweep gives with labels
--   picture_tau_clusters(sweep)                         what tau_sweep gives
--   picture_hard_clusters(subsets)                      what hard_clusters.sql writes
--   picture_map(places)                                 x, y, cluster_id, size: points in a plane, by any method
--   picture_tree(clusters, cluster, name := 'id', largest := 40)   what dpc_cluster gives, a column of names beside it
--
-- Colours are those of Okabe and Ito, which the colour-blind tell apart, their yellow darker, to show on white. Numbers
-- are rounded to what can be seen, and many points at one place are one row: a picture of many points stays small.

-- A specification of rows, a list of structs, and marks, JSON text. (Not json_merge_patch: it drops each "axis": null.)
CREATE OR REPLACE TEMP MACRO picture(title, subtitle, rows, marks) AS (
    $${"$schema": "https://vega.github.io/schema/vega-lite/v5.json", "config": {"aria": false,
        "title": {"anchor": "start", "fontSize": 14, "subtitleFontSize": 11, "offset": 12, "subtitlePadding": 4},
        "font": "Arial, Liberation Sans, sans-serif",
        "axis": {"gridOpacity": 0.3, "titleFontWeight": "normal", "titleFontSize": 12, "labelFontSize": 11},
        "legend": {"orient": "bottom", "titleFontWeight": "normal", "titleFontSize": 11, "columnPadding": 16},
        "view": {"stroke": null}}, "title": $$ || json_object('text', title, 'subtitle', subtitle)
    || ', "data": ' || json_object('values', coalesce(rows, [])) || ', ' || ltrim(marks, '{'))::JSON;

-- The decision graph of Rodriguez and Laio. Above the line of tau a point joins no other: it is a peak.
CREATE OR REPLACE TEMP MACRO picture_decision_graph(graph, tau := NULL) AS TABLE
WITH places AS (
    SELECT format('{:.3g}', 10 ** (round(log10(density) * 25) / 25))::DOUBLE AS density,
           round(coalesce(delta, 1), 2) AS delta,
           coalesce(delta IS NULL OR delta >= tau, false) AS peak, count(*) AS points
    FROM query_table(graph) WHERE density > 0 GROUP BY ALL
)
SELECT picture(
    'Decision graph',
    format('{:,} points', sum(points)::BIGINT) || coalesce(
        format(', {:,} of them peaks, above tau {}', (sum(points) FILTER (peak))::BIGINT, tau), ''),
    list(places ORDER BY density, delta, peak),
    $${"width": 460, "height": 300,
     "params": [{"name": "tau", "value": $$ || coalesce(tau::VARCHAR, 'null') || $$}], "layer": [
        {"mark": {"type": "circle", "opacity": 0.75}, "encoding": {
            "x": {"field": "density", "type": "quantitative", "title": "density (mean 1)",
                  "scale": {"type": "log", "nice": false, "padding": 8},
                  "axis": {"tickCount": 6, "format": "~r", "grid": false}},
            "y": {"field": "delta", "type": "quantitative", "title": "delta: distance to nearest denser point"},
            "size": {"field": "points", "type": "quantitative", "title": "points here", "scale": {"range": [10, 220]},
                     "legend": {"values": [1, $$ || coalesce(max(points), 1) || $$], "symbolFillColor": "#0072B2",
                                "symbolStrokeWidth": 0}},
            "color": {"field": "peak", "type": "nominal", "legend": null,
                      "scale": {"domain": [true, false], "range": ["#D55E00", "#0072B2"]}}}},
        {"data": {"values": [{}]},
         "transform": [{"calculate": "tau", "as": "tau"}, {"filter": "isValid(datum.tau)"}],
         "mark": {"type": "rule", "strokeDash": [5, 4], "color": "gray"},
         "encoding": {"y": {"field": "tau", "type": "quantitative"}}}]}$$) AS vega_lite
FROM places;

-- How many clusters there are of 1, 2, 3 to 4, 5 to 8, … points.
CREATE OR REPLACE TEMP MACRO picture_sizes(clusters) AS TABLE
WITH sized AS (SELECT count(*) AS size FROM query_table(clusters) WHERE cluster_id IS NOT NULL GROUP BY cluster_id),
bins AS (
    SELECT ceil(log2(size))::INT AS bin, count(*) AS number, sum(size)::BIGINT AS points,
           CASE WHEN bin < 2 THEN bin + 1 || '' ELSE (1 << bin - 1) + 1 || '–' || (1 << bin) END AS size
    FROM sized GROUP BY bin
)
SELECT picture(
    'Cluster sizes',
    format('{:,} points in {:,} clusters, the largest of {:,}',
           sum(points)::BIGINT, sum(number)::BIGINT, (SELECT max(size) FROM sized)),
    list(bins ORDER BY bin),
    $${"width": $$ || greatest(300, 46 * count(*)) || $$, "height": 280, "encoding": {
        "x": {"field": "size", "type": "ordinal", "sort": {"field": "bin"}, "title": "points in the cluster",
              "axis": {"labelAngle": 0, "labelFontSize": 10, "grid": false}},
        "y": {"field": "number", "type": "quantitative", "title": "clusters"}},
     "layer": [
        {"mark": {"type": "bar", "color": "#0072B2"}},
        {"mark": {"type": "text", "dy": -7, "fontSize": 11},
         "encoding": {"text": {"field": "number", "type": "quantitative", "format": ",d"}}}]}$$) AS vega_lite
FROM bins;

-- The scores of a sweep against tau, the best BCubed F marked.
CREATE OR REPLACE TEMP MACRO picture_tau_scores(sweep) AS TABLE
WITH best AS (SELECT tau, bcubed_f FROM query_table(sweep) ORDER BY bcubed_f DESC NULLS LAST, tau LIMIT 1),
scores AS (
    SELECT tau, 'BCubed F' AS score, bcubed_f AS value FROM query_table(sweep) UNION ALL
    SELECT tau, 'pairwise F', pairwise_f FROM query_table(sweep) UNION ALL
    SELECT tau, 'BCubed precision', bcubed_precision FROM query_table(sweep) UNION ALL
    SELECT tau, 'BCubed recall', bcubed_recall FROM query_table(sweep)
),
rows AS (
    SELECT tau, score, round(value, 4) AS value, score = 'BCubed F' AND tau = (SELECT tau FROM best) AS best
    FROM scores WHERE value IS NOT NULL
)
SELECT picture(
    'Scores against tau',
    (SELECT format('best BCubed F {:.3f} at tau {}', bcubed_f, tau) FROM best),
    list(rows ORDER BY score, tau),
    $${"width": 460, "height": 280, "encoding": {
        "x": {"field": "tau", "type": "quantitative", "title": "tau", "scale": {"zero": false, "nice": false},
              "axis": {"tickCount": 7, "format": ".2~f"}},
        "y": {"field": "value", "type": "quantitative", "title": "score", "scale": {"domain": [0, 1]}}},
     "layer": [
        {"mark": {"type": "line", "strokeWidth": 2.2}, "encoding": {
            "color": {"field": "score", "type": "nominal", "title": null, "scale": {
                "domain": ["BCubed F", "BCubed precision", "BCubed recall", "pairwise F"],
                "range": ["#0072B2", "#E69F00", "#009E73", "#CC79A7"]}},
            "strokeDash": {"field": "score", "type": "nominal", "title": null, "scale": {
                "domain": ["BCubed F", "BCubed precision", "BCubed recall", "pairwise F"],
                "range": [[1, 0], [6, 3], [2, 2], [10, 3, 2, 3]]}}}},
        {"transform": [{"filter": "datum.best"}],
         "mark": {"type": "point", "filled": true, "size": 70, "opacity": 1, "color": "#0072B2"}}]}$$) AS vega_lite
FROM rows;

-- Clusters and clusters of one point against tau: no labels needed.
CREATE OR REPLACE TEMP MACRO picture_tau_clusters(sweep) AS TABLE
WITH rows AS (
    SELECT tau, 'clusters' AS kind, clusters AS number FROM query_table(sweep) UNION ALL
    SELECT tau, 'of one point', singletons FROM query_table(sweep)
)
SELECT picture(
    'Clusters against tau', 'a flat stretch is a clustering that hardly depends on it', list(rows ORDER BY kind, tau),
    $${"width": 460, "height": 280, "mark": {"type": "line", "strokeWidth": 2.2}, "encoding": {
        "x": {"field": "tau", "type": "quantitative", "title": "tau", "scale": {"zero": false, "nice": false},
              "axis": {"tickCount": 7, "format": ".2~f"}},
        "y": {"field": "number", "type": "quantitative", "title": "clusters"},
        "color": {"field": "kind", "type": "nominal", "title": null,
                  "scale": {"domain": ["clusters", "of one point"], "range": ["#0072B2", "#E69F00"]}},
        "strokeDash": {"field": "kind", "type": "nominal", "title": null,
                       "scale": {"domain": ["clusters", "of one point"], "range": [[1, 0], [5, 3]]}}}}$$) AS vega_lite
FROM rows;

-- Recall and F of identities by size and by sparsity: figure 1 of Chen et al. (ECCV 2022).
CREATE OR REPLACE TEMP MACRO picture_hard_clusters(subsets) AS TABLE
WITH rows AS (
    SELECT subset, 'pairwise recall' AS score, round(pairwise_recall, 4) AS value FROM query_table(subsets) UNION ALL
    SELECT subset, 'pairwise F', round(pairwise_f, 4) FROM query_table(subsets) UNION ALL
    SELECT subset, 'BCubed F', round(bcubed_f, 4) FROM query_table(subsets)
)
SELECT picture(
    'Hard clusters', 'fifths of the identities by size (sz-1 the largest) and by sparsity (sp-1 the densest)',
    list(rows ORDER BY subset, score),
    $${"width": 460, "height": 280, "mark": {"type": "bar"}, "encoding": {
        "x": {"field": "subset", "type": "ordinal", "title": null, "axis": {"labelAngle": 0, "ticks": false},
              "scale": {"paddingInner": 0.25, "domain": [
                  "sz-1", "sz-2", "sz-3", "sz-4", "sz-5", " ", "sp-1", "sp-2", "sp-3", "sp-4", "sp-5"]}},
        "xOffset": {"field": "score", "sort": ["pairwise recall", "pairwise F", "BCubed F"]},
        "y": {"field": "value", "type": "quantitative", "title": "score", "scale": {"domain": [0, 1]}},
        "color": {"field": "score", "type": "nominal", "title": null, "scale": {
            "domain": ["pairwise recall", "pairwise F", "BCubed F"],
            "range": ["#56B4E9", "#0072B2", "#E69F00"]}}}}$$) AS vega_lite
FROM rows;

-- Points in a plane, a colour and a shape for each cluster in turn, the eight of greatest `size` named. Those of size 1
-- are grey.
CREATE OR REPLACE TEMP MACRO picture_map(places) AS TABLE
WITH points AS (SELECT x, y, cluster_id, size FROM query_table(places)),
extent AS (
    SELECT min(x) AS x0, min(y) AS y0, greatest(max(x) - min(x), max(y) - min(y), 1e-9) / 1000 AS unit FROM points
),
rows AS (
    SELECT ((x - x0) / unit)::INT AS x, ((y - y0) / unit)::INT AS y, cluster_id::VARCHAR AS cluster, size,
           dense_rank() OVER (ORDER BY size DESC, cluster_id) - 1 AS rank
    FROM points, extent
)
SELECT picture(
    'Map of clusters',
    format('{:,} points of {:,} clusters; the eight largest bear their cluster_id', count(*), count(DISTINCT cluster)),
    list({x: x, y: y, cluster: cluster, alone: size = 1, color: rank % 7, shape: rank // 7 % 4, rank: rank}
         ORDER BY rank, x, y),
    $${"width": 460, "height": 400,
     "encoding": {"x": {"field": "x", "type": "quantitative", "axis": null},
                  "y": {"field": "y", "type": "quantitative", "axis": null}},
     "layer": [
        {"mark": {"type": "point", "filled": true, "size": 26, "opacity": 0.8}, "encoding": {
            "shape": {"field": "shape", "type": "nominal", "legend": null, "scale": {
                "domain": [0, 1, 2, 3], "range": ["circle", "square", "triangle-up", "diamond"]}},
            "color": {"condition": {"test": "datum.alone", "value": "#999999"},
                "field": "color", "type": "nominal", "legend": null, "scale": {"domain": [0, 1, 2, 3, 4, 5, 6],
                          "range": ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#B8A800"]}}}},
        {"transform": [{"filter": "datum.rank < 8 && !datum.alone"},
                       {"aggregate": [{"op": "mean", "field": "x", "as": "x"}, {"op": "max", "field": "y", "as": "y"}],
                        "groupby": ["cluster"]}],
         "mark": {"type": "text", "dy": -9, "fontSize": 11, "fontWeight": "bold"},
         "encoding": {"text": {"field": "cluster", "type": "nominal"}}}]}$$) AS vega_lite
FROM rows;

-- One cluster as the tree of its parents, its peak at the left: a link is as long as its distance. Of a large cluster
-- the points of fewest links from the peak are shown.
CREATE OR REPLACE TEMP MACRO picture_tree(clusters, cluster, name := 'id', largest := 40) AS TABLE
WITH RECURSIVE members AS (
    SELECT c.id, c.parent_id, c.delta, COLUMNS(lambda column_name: column_name = name)::VARCHAR AS text,
           row_number() OVER (PARTITION BY c.parent_id ORDER BY c.delta, c.id) AS nth, count(*) OVER () AS size
    FROM query_table(clusters) c WHERE c.cluster_id = cluster
),
-- `path` is the place of each point among its siblings, from the peak down: its order is that of the rows of the tree.
tree AS (
    SELECT id, text, size, 0::DOUBLE AS x, NULL::DOUBLE AS parent_x, []::BIGINT[] AS path
    FROM members WHERE id = parent_id
    UNION ALL
    SELECT m.id, m.text, m.size, t.x + m.delta, t.x, list_append(t.path, m.nth)
    FROM tree t JOIN members m ON m.parent_id = t.id AND m.id <> m.parent_id
),
shown AS (
    SELECT *, row_number() OVER (ORDER BY path) - 1 AS row
    FROM (FROM tree ORDER BY len(path), x, id LIMIT largest)
),
rows AS (
    SELECT s.row, s.text, round(s.x, 4) AS x, round(s.parent_x, 4) AS parent_x, p.row AS parent_row, s.size
    FROM shown s LEFT JOIN shown p ON p.path = s.path[:-2] AND len(s.path) > 0
)
SELECT picture(
    'Parents in cluster ' || cluster,
    format('{:,} of {:,} points; each link is as long as the distance of a point to its parent', count(*), max(size)),
    list(rows ORDER BY row),
    $${"width": 460, "height": $$ || 18 * count(*) || $$,
     "encoding": {"y": {"field": "row", "type": "quantitative", "axis": null,
                        "scale": {"reverse": true, "nice": false, "padding": 9}}},
     "layer": [
        {"transform": [{"filter": "isValid(datum.parent_x)"}],
         "mark": {"type": "rule", "color": "#888888", "strokeWidth": 1.5},
         "encoding": {"x2": {"field": "x"}, "x": {
            "field": "parent_x", "type": "quantitative", "axis": {"tickCount": 6},
            "title": "distance from the peak along the parents"}}},
        {"transform": [{"filter": "isValid(datum.parent_x)"}],
         "mark": {"type": "rule", "color": "#888888", "strokeWidth": 1.5},
         "encoding": {"x": {"field": "parent_x", "type": "quantitative"}, "y2": {"field": "parent_row"}}},
        {"mark": {"type": "circle", "size": 60, "opacity": 1}, "encoding": {
            "x": {"field": "x", "type": "quantitative"},
            "color": {"condition": {"test": "isValid(datum.parent_x)", "value": "#0072B2"}, "value": "#D55E00"}}},
        {"mark": {"type": "text", "align": "left", "dx": 8, "limit": 300, "fontSize": 11}, "encoding": {
            "x": {"field": "x", "type": "quantitative"},
            "text": {"field": "text", "type": "nominal"}}}]}$$) AS vega_lite
FROM rows;
