-- Points to measure with: n embeddings around the centers of identities, of which few are large and most small.
SET VARIABLE n = 20_000;
SET VARIABLE dim = 128;
SET VARIABLE noise = 0.8;

CREATE MACRO uniform(a, b) AS (hash(a, b) % 1_000_000)::FLOAT / 1_000_000;

CREATE TABLE faces AS
SELECT id, identity, list_transform(range(getvariable('dim')), lambda j:
    (uniform(identity, j) - 0.5 + getvariable('noise') * (uniform(-1 - id, j) - 0.5))::FLOAT) AS embedding
FROM (SELECT id, floor(uniform(id, 'identity') ** 3 * getvariable('n') / 4)::INTEGER AS identity
      FROM range(getvariable('n')) t(id));

SELECT count(*) AS points, count(DISTINCT identity) AS identities, max(len(embedding)) AS dim FROM faces;

-- A row when a step is done; what it took is the time since the row before.
CREATE SEQUENCE ticks;

CREATE TABLE clock (tick INTEGER DEFAULT nextval('ticks'), step VARCHAR, time TIMESTAMPTZ DEFAULT get_current_timestamp());

CREATE VIEW steps AS
SELECT step, round(epoch(time - lag(time) OVER (ORDER BY tick)), 3) AS seconds FROM clock QUALIFY step IS NOT NULL
ORDER BY tick;
