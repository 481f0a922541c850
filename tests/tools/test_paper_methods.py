"""experiments/paper: each method on people that it must tell apart, and what the methods share."""

import importlib

import numpy as np
import pytest
import table1
from conftest import arrow_points, connect

pytest.importorskip("torch", reason="needs experiments/requirements-torch.txt")
import common
import torch

K = 6


@pytest.fixture(scope="module")
def con():
    with connect() as con:
        yield con


def people(con, seed: int, n: int, size: int = 7) -> common.Half:
    """n people of 7 points, half of whose edges lead to others, and the same by another model."""
    draw = np.random.default_rng(seed)
    label = np.arange(n * size) % n
    center, noise = draw.normal(size=(n, 24)), draw.normal(size=(2, n * size, 24)) * 0.2
    for name, points in zip(("one", "other"), center[label] + noise, strict=True):
        con.register(name, arrow_points(points).append_column("label", [label]))
    return common.half(con, "FROM one", 2 * K, "FROM other")


@pytest.mark.parametrize("name", table1.METHODS)
def test_people_that_are_apart_are_told_apart(con, name):
    torch.set_num_threads(1)
    method = importlib.import_module(name)
    train, test = people(con, 0, 150), people(con, 1, 60)
    assert test.same.mean() == 0.5
    model = method.fit(train, 0)
    found, on_train = model(test), model(train)
    setting = common.best(
        (common.scores(train.label, method.clusters(train, on_train, at)), at) for at in method.SETTINGS
    )
    _, bcubed = common.scores(test.label, method.clusters(test, found, setting))
    assert bcubed > 0.85
    edges, same = found["edges"].ravel(), test.same.numpy().ravel() > 0
    assert edges.shape == same.shape and edges.min() >= 0 and edges.max() <= 1
    assert edges[same].mean() > edges[~same].mean() + 0.3


def test_scores_are_those_of_the_extension(con):
    draw = np.random.default_rng(0)
    given = {"label": draw.integers(0, 30, 300), "cluster_id": draw.integers(0, 40, 300)}
    query = "SELECT pairwise_f(label, cluster_id).f, bcubed_f(label, cluster_id).f FROM given"
    assert common.scores(*given.values()) == pytest.approx(con.execute(query).fetchone(), abs=1e-12)


def test_a_component_that_is_too_large_is_cut_at_a_higher_threshold():
    line = common.Half(torch.zeros(5, 1), np.zeros(5, int), torch.tensor([[1], [2], [3], [4], [3]]), torch.zeros(5, 1))
    edges = np.array([[0.9], [0.6], [0.9], [0.9], [0.9]])
    assert len(set(common.propagated(line, edges, 0.5, 5))) == 1
    assert common.propagated(line, edges, 0.5, 3).tolist() == [0, 0, 1, 1, 1]


def test_an_edge_is_the_mean_of_both_directions():
    pair = common.Half(torch.zeros(3, 1), np.zeros(3, int), torch.tensor([[1], [0], [0]]), torch.zeros(3, 1))
    assert common.both_ways(pair, np.array([[0.2], [0.6], [0.5]])).ravel().tolist() == pytest.approx([0.4, 0.4, 0.5])


def test_each_point_is_judged_by_the_model_that_has_not_seen_it():
    found = [{"edges": np.full((3, 2), model), "density": np.full(3, model)} for model in (0, 1)]
    crossed = table1.crossed(found, np.array([True, False, True]))
    assert crossed["edges"].tolist() == [[1, 1], [0, 0], [1, 1]] and crossed["density"].tolist() == [1, 0, 1]
