"""The stages on DataFrames, and all of them in one call."""

from pyspark.sql import DataFrame
from pyspark.sql.functions import col

from . import check, driver, kernels, matrices, numbers, worker
from .numbers import Matrix, Points
from .run import Run, mapped


def knn_graph(
    points: DataFrame,
    *,
    k: int = 30,
    metric: str = "cosine",
    id: str = "id",
    embedding: str = "embedding",
    precision: str = "f32",
    copies: int | None = None,
    workdir: str,
    m: int | None = None,
    memory: str | int | None = None,
) -> DataFrame:
    """The k nearest neighbors of each point, exact: src, dst, rank, distance."""
    run = Run(points.sparkSession, "knn_graph", workdir, memory)
    options = {"k": k, "metric": metric, "precision": precision, "copies": copies}
    with worker.connect() as con:
        check.arguments(con, "knn_graph", ["points"], id=id, embedding=embedding, **options)
    graph = matrices.graph(run, points, id, embedding, options, m)
    edges = mapped(graph.rows, kernels.edges, kernels.EDGES).withColumnRenamed("value", "distance")
    return run.stage("knn_graph", graph.made, lambda: numbers.to_edges(edges, graph.points, "rank", "distance"))


def transition_matrix(
    graph: DataFrame,
    *,
    kernel: str = "auto",
    sigma: float | str = 0.1,
    undirected: bool | str = "auto",
    workdir: str,
    memory: str | int | None = None,
) -> DataFrame:
    """The probability of a step from each point to itself and to each neighbor: src, dst, probability."""
    run = Run(graph.sparkSession, "transition_matrix", workdir, memory)
    similar = "similarity" in graph.columns and kernel != "exp"
    value = "similarity" if similar else "distance"
    check.column(graph, value, run.function, "", "the DataFrame of edges")
    with worker.connect() as con:
        check.arguments(con, run.function, ["edges"], kernel=kernel, sigma=sigma, undirected=undirected)
    edges = matrices.directed(graph.select("src", "dst", value), value, undirected)
    given = numbers.of_edges(run, edges, value, {"of": "graph", "undirected": undirected})
    options = {"kernel": kernel, "sigma": sigma}
    if sigma == "auto" and not similar and kernel != "linear":
        made = driver.transition(run, given, options)
    else:
        made = matrices.transition(run, given, kernel, 1.0 if sigma == "auto" else sigma, value)
    return _edges(run, "transition_matrix", made, "probability")


def ndde(
    transition: DataFrame,
    *,
    epsilon: float = 0.05,
    max_iterations: int = 100,
    workdir: str,
    memory: str | int | None = None,
) -> DataFrame:
    """What each point holds when a mass of 1 a point has spread along the transition matrix: id, density."""
    run = Run(transition.sparkSession, "ndde", workdir, memory)
    with worker.connect() as con:
        check.arguments(con, run.function, ["steps"], epsilon=epsilon, max_iterations=max_iterations)
    given = _steps(run, transition)
    density, made = matrices.density(run, given, epsilon, max_iterations)
    points = driver.densities(run, density)
    return run.stage("ndde", made, lambda: points.join(given.points.ids, "n").select("id", "density"))


def tpdi(transition: DataFrame, *, workdir: str, memory: str | int | None = None) -> DataFrame:
    """How little the rows of the two ends of each edge have in common: src, dst, distance."""
    run = Run(transition.sparkSession, "tpdi", workdir, memory)
    return _edges(run, "tpdi", matrices.distances(run, _steps(run, transition), None, {}), "distance")


def dpc_cluster(
    density: DataFrame,
    distance: DataFrame,
    *,
    tau: float = 0.7,
    id: str = "id",
    workdir: str,
    memory: str | int | None = None,
    previous=None,
    must_link=None,
    cannot_link=None,
    unknown_ids=None,
) -> DataFrame:
    """Each point joins its nearest neighbor of higher density, if that is nearer than tau."""
    run = Run(density.sparkSession, "dpc_cluster", workdir, memory)
    pairs = {"must_link": must_link, "cannot_link": cannot_link, "unknown_ids": unknown_ids}
    check.absent(run.function, previous=previous, **pairs)
    with worker.connect() as con:
        check.arguments(con, run.function, ["densities", "edges"], tau=tau, id=id)
    if tau == "auto":
        raise ValueError("dpc_cluster: tau is a number on Spark; cluster_embeddings and linkage_cluster do without one")
    points, rho, made = matrices.given_densities(run, density)
    given = numbers.of_edges(run, distance, "distance", made, points)
    candidates = matrices.parents(run, given.rows, rho, given.made)
    return _clusters(run, points, candidates, rho, tau, {**given.made, "tau": tau}, id)


def linkage_cluster(
    transition: DataFrame,
    *,
    epsilon: float = 0.05,
    max_iterations: int = 100,
    clusters: int | None = None,
    id: str = "id",
    workdir: str,
    memory: str | int | None = None,
    previous=None,
    must_link=None,
    cannot_link=None,
    unknown_ids=None,
) -> DataFrame:
    """Clusters of a transition matrix, without a threshold, on the driver."""
    run = Run(transition.sparkSession, "linkage_cluster", workdir, memory)
    pairs = {"must_link": must_link, "cannot_link": cannot_link, "unknown_ids": unknown_ids}
    check.absent(run.function, previous=previous, **pairs)
    options = {"epsilon": epsilon, "max_iterations": max_iterations, "clusters": clusters}
    with worker.connect() as con:
        check.arguments(con, run.function, ["steps"], id=id, **options)
    given = _steps(run, transition)
    check.clusters(clusters, given.points.total, run.function)
    found = driver.linkage(run, given, options)
    return _with_ids(run, found, given.points, {**given.made, **options}, id)


def cluster_embeddings(
    points: DataFrame,
    *,
    k: int = 30,
    tau: float | str = "auto",
    metric: str = "cosine",
    id: str = "id",
    embedding: str = "embedding",
    kernel: str = "auto",
    sigma: float | str = "auto",
    epsilon: float = 0.05,
    max_iterations: int = 100,
    precision: str = "f32",
    copies: int | None = 3,
    clusters: int | None = None,
    workdir: str,
    m: int | None = None,
    memory: str | int | None = None,
    method: str = "exact",
    model=None,
    previous=None,
    must_link=None,
    cannot_link=None,
    unknown_ids=None,
    partition_by=None,
) -> DataFrame:
    """Cluster points by their embeddings, as `cluster_embeddings` of the extension does with `method := 'exact'`.

    The same columns, names and defaults. With a number for sigma (or `kernel="linear"`) and for tau all stages run on
    Spark. With 'auto' the graph does, and the rest on the driver, in the extension, as far as its memory goes.
    """
    run = Run(points.sparkSession, "cluster_embeddings", workdir, memory)
    pairs = {"must_link": must_link, "cannot_link": cannot_link, "unknown_ids": unknown_ids}
    check.absent(run.function, model=model, previous=previous, **pairs, partition_by=partition_by)
    if method not in ("exact", "auto"):
        raise ValueError(f"cluster_embeddings: the graph on Spark is exact, and method is {method!r}; leave it out")
    of_graph = {"k": k, "metric": metric, "precision": precision, "copies": copies}
    later = {"kernel": kernel, "sigma": sigma, "epsilon": epsilon, "max_iterations": max_iterations, "tau": tau}
    with worker.connect() as con:
        names = {"id": id, "embedding": embedding}
        check.arguments(con, run.function, ["points"], **names, **of_graph, **later, clusters=clusters)
        auto = tau == "auto" or sigma == "auto" and kernel != "linear"

        def fits(points: Points) -> None:
            check.clusters(clusters, points.total, run.function)
            if auto:
                check.on_driver(con, points.total, k, run.function)
            else:
                check.collected(run.spark, points.total, run.function)

        graph = matrices.graph(run, points, id, embedding, of_graph, m, fits)
    if auto:
        options = {**later, "clusters": clusters}
        found = driver.clusters(run, graph, options)
        return _with_ids(run, found, graph.points, {**graph.made, **options}, id)
    transition = matrices.transition(run, graph, kernel, 1.0 if sigma == "auto" else sigma, "distance")
    rho, made = matrices.density(run, transition, epsilon, max_iterations)
    candidates = matrices.parents_of(run, transition, rho, made)
    return _clusters(run, graph.points, candidates, rho, tau, {**made, "tau": tau}, id)


def _steps(run: Run, transition: DataFrame) -> Matrix:
    """A transition matrix of a DataFrame."""
    check.column(transition, "probability", run.function, "", "the transition matrix")
    with run.described("check rows"):
        check.sums(transition.select("src", "dst", col("probability").alias("value")), run.function)
    return numbers.of_edges(run, transition, "probability", {"of": "transition"})


def _edges(run: Run, name: str, matrix: Matrix, value: str) -> DataFrame:
    entries = mapped(matrix.rows, kernels.entries, kernels.ENTRIES).withColumnRenamed("value", value)
    return run.stage(name, matrix.made, lambda: numbers.to_edges(entries, matrix.points, value))


def _clusters(run: Run, points: Points, candidates: DataFrame, rho, tau: float, made: dict, id: str) -> DataFrame:
    """The last stage: the trees on the driver, and what each point is in them."""
    cluster = driver.trees(run, candidates, points.total, tau)
    with run.shared(rho) as density, run.shared(cluster) as number:
        named = mapped(candidates, kernels.clusters(density, number, tau), kernels.CLUSTERS)
        return _with_ids(run, named, points, made, id)


def _with_ids(run: Run, found: DataFrame, points: Points, made: dict, id: str) -> DataFrame:
    """Clusters with ids in place of numbers."""

    def make() -> DataFrame:
        parents = points.ids.select(col("n").alias("parent"), col("id").alias("parent_id"))
        columns = ["id", "cluster_id", "parent_id", "delta", "density", "is_peak"]
        more = [name for name in ("strength",) if name in found.columns]
        return found.join(points.ids, "n").join(parents, "parent").select(*columns, *more)

    return run.stage("clusters", made, make).withColumnRenamed("id", id)
