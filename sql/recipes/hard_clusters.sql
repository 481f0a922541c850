-- Reads faces(id, label, embedding) and clusters(id, cluster_id). Writes hard_clusters, ten rows.
--
-- How well small and sparse identities are found: the subsets of Chen et al. (ECCV 2022), figure 1. Identities of at
-- least two faces are ranked by size and cut into five parts of equally many, sz-1 with the largest to sz-5 with the
-- smallest; and by sparsity, 1 - the mean cosine over pairs of their faces, sp-1 with the densest to sp-5 with the
-- sparsest. Scores are taken within each part: faces of other identities count neither for nor against it.
--
-- The mean cosine needs no pairs: the squared length of the sum of n unit vectors is n and twice the sum over pairs.

CREATE OR REPLACE TABLE hard_clusters AS
WITH vectors AS (SELECT label, embedding::DOUBLE[] AS embedding FROM faces WHERE label IS NOT NULL),
coordinates AS (
    SELECT label, generate_subscripts(embedding, 1) AS dimension,
           unnest(embedding) / sqrt(list_inner_product(embedding, embedding)) AS x
    FROM vectors
),
sums AS (SELECT label, count(*) AS n, sum(x) AS x FROM coordinates GROUP BY label, dimension),
identities AS (
    -- Rounded, so that the order in which sums ran does not decide between equals.
    SELECT label, n, round(1 - (sum(x * x) - n) / (n * (n - 1)), 9) AS sparsity
    FROM sums WHERE n > 1 GROUP BY label, n
),
ranked AS (
    SELECT *, 'sz-' || ntile(5) OVER (ORDER BY n DESC, label) AS subset FROM identities
    UNION ALL
    SELECT *, 'sp-' || ntile(5) OVER (ORDER BY sparsity, label) AS subset FROM identities
),
scored AS (
    SELECT subset, count(DISTINCT label) AS identities, count(*) AS faces,
           min(n) AS smallest, max(n) AS largest, min(sparsity) AS densest, max(sparsity) AS sparsest,
           pairwise_f(label, cluster_id) AS pairwise, bcubed_f(label, cluster_id) AS bcubed
    FROM ranked JOIN faces USING (label) LEFT JOIN clusters USING (id) GROUP BY subset
)
SELECT subset, identities, faces, smallest, largest, densest, sparsest,
       pairwise.precision AS pairwise_precision, pairwise.recall AS pairwise_recall, pairwise.f AS pairwise_f,
       bcubed.precision AS bcubed_precision, bcubed.recall AS bcubed_recall, bcubed.f AS bcubed_f
FROM scored ORDER BY subset[:2] DESC, subset;
