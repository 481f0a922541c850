-- Reads r(id, density), d(src, dst, distance), parameters(tau).
-- Writes clusters(id, cluster_id, parent_id, delta, density, is_peak).
--
-- A point's candidate parent is the nearest of its edges' ends that are above it: denser, or as dense with a smaller
-- id. It joins that parent if nearer than tau, else it is a peak. Each tree is a cluster.

DROP TABLE IF EXISTS clusters;
CREATE TABLE clusters AS
WITH RECURSIVE candidates AS (
    SELECT
        d.src AS id,
        d.dst AS parent_id,
        d.distance AS delta,
        ROW_NUMBER() OVER (PARTITION BY d.src ORDER BY d.distance, upper_end.density DESC, d.dst) AS choice
    FROM d
    JOIN r AS lower_end ON lower_end.id = d.src
    JOIN r AS upper_end ON upper_end.id = d.dst
    WHERE upper_end.density > lower_end.density
       OR (upper_end.density = lower_end.density AND upper_end.id < lower_end.id)
),
points AS (
    SELECT
        r.id,
        r.density,
        c.delta,
        CASE WHEN c.delta < tau THEN c.parent_id ELSE r.id END AS parent_id
    FROM r
    CROSS JOIN parameters
    LEFT JOIN candidates AS c ON c.id = r.id AND c.choice = 1
),
members (id, peak_id) AS (                      -- from the peaks down
    SELECT id, id FROM points WHERE parent_id = id
    UNION ALL
    SELECT points.id, members.peak_id
    FROM members
    JOIN points ON points.parent_id = members.id AND points.id <> members.id
),
numbered AS (
    SELECT peak_id, ROW_NUMBER() OVER (ORDER BY MIN(id)) - 1 AS cluster_id
    FROM members
    GROUP BY peak_id
)
SELECT points.id, numbered.cluster_id, points.parent_id, points.delta, points.density,
    points.parent_id = points.id AS is_peak
FROM points
JOIN members ON members.id = points.id
JOIN numbered ON numbered.peak_id = members.peak_id;
