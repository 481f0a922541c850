-- Reads clusters(id, cluster_id), labels(id, label). Writes scores, one row.
--
-- All from the sizes of clusters, of labels, and of their intersections; no pair is enumerated. Pairwise scores count
-- the pairs of two different points; BCubed scores are means over points, each its own companion. A point without a
-- label, or without a cluster, is left out of both sides. A score whose divisor is 0 (no two points share a cluster)
-- is NULL.

DROP TABLE IF EXISTS scores;
CREATE TABLE scores AS
WITH cells AS (
    SELECT cluster_id, label, CAST(COUNT(*) AS DOUBLE PRECISION) AS n
    FROM clusters JOIN labels ON labels.id = clusters.id
    WHERE label IS NOT NULL
    GROUP BY cluster_id, label
),
predicted AS (SELECT cluster_id, SUM(n) AS n FROM cells GROUP BY cluster_id),
actual AS (SELECT label, SUM(n) AS n FROM cells GROUP BY label),
found AS (
    SELECT
        SUM(c.n)                     AS points,
        SUM(c.n * (c.n - 1) / 2)     AS pairs,
        SUM(c.n * c.n / p.n)         AS precision_sum,
        SUM(c.n * c.n / a.n)         AS recall_sum
    FROM cells AS c
    JOIN predicted AS p ON p.cluster_id = c.cluster_id
    JOIN actual AS a ON a.label = c.label
),
predicted_pairs AS (SELECT COUNT(*) AS clusters, SUM(n * (n - 1) / 2) AS pairs FROM predicted),
actual_pairs AS (SELECT COUNT(*) AS labels, SUM(n * (n - 1) / 2) AS pairs FROM actual)
SELECT
    CAST(COALESCE(f.points, 0) AS BIGINT)                                            AS points,
    p.clusters                                                                       AS clusters,
    a.labels                                                                         AS labels,
    f.pairs / NULLIF(p.pairs, 0)                                                     AS pairwise_precision,
    f.pairs / NULLIF(a.pairs, 0)                                                     AS pairwise_recall,
    2 * f.pairs / NULLIF(p.pairs + a.pairs, 0)                                       AS pairwise_f,
    f.precision_sum / f.points                                                       AS bcubed_precision,
    f.recall_sum / f.points                                                          AS bcubed_recall,
    2 * f.precision_sum * f.recall_sum / (f.points * (f.precision_sum + f.recall_sum)) AS bcubed_f
FROM found AS f CROSS JOIN predicted_pairs AS p CROSS JOIN actual_pairs AS a;
