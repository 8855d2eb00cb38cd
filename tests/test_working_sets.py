"""Working sets of features for losses of rows: the same minimum as with all features at once."""

import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from skmtl import AdaptiveJointFeatureClassifier, MultiTaskClassifier, MultiTaskRegressor
from skmtl.penalties import L1, Dirty, JointFeature, SharedPlusSpecific, Temporal, TraceNorm
from skmtl.solvers import _screen
from skmtl.solvers._rows import working_sets
from skmtl.solvers._rows.working_sets import WorkingSets

KINDS = ["shared", "own", "missing labels", "sparse", "three classes", "counts", "outliers", "large means"]
D = 150


def instance(kind, rng, n=40, n_tasks=3):
    """Arguments of fit: few of many features count."""
    X = rng.normal(size=(n, D)) + (rng.normal(size=D) * 10.0 if kind == "large means" else 0.0)
    E = (X - X.mean(axis=0))[:, :6] @ rng.normal(size=(6, n_tasks))
    task = np.arange(n) % n_tasks if kind in ("own", "three classes", "counts", "large means") else None
    if kind == "three classes":
        Y = np.digitize(E, np.quantile(E, [0.3, 0.7]))
    elif kind == "counts":
        Y = rng.poisson(np.exp(np.clip(E / E.std(), -3, 2)))
    elif kind == "outliers":
        Y = E + rng.standard_t(2, size=E.shape)
    else:
        Y = (E + rng.logistic(size=E.shape) > 0).astype(float)
    if kind == "missing labels":
        Y = np.where(rng.random(Y.shape) < 0.2, np.nan, Y)
    y = Y if task is None else Y[np.arange(n), task]
    return {"X": sparse.csr_array(X * (rng.random(X.shape) < 0.3)) if kind == "sparse" else X, "y": y, "task": task}


def model_for(kind, penalty, **how):
    """The estimator of a kind of labels."""
    if kind in ("counts", "outliers"):
        return MultiTaskRegressor(penalty, loss="poisson" if kind == "counts" else "huber", **how)
    return MultiTaskClassifier(penalty, **how)


PENALTIES = {
    "joint feature": lambda a: JointFeature(a),
    "L1": lambda a: L1(a),
    "sparse group": lambda a: JointFeature(0.7 * a, alpha_l1=0.2 * a),
    "maximum norm": lambda a: JointFeature(a, norm=np.inf),
    "elastic net": lambda a: JointFeature(a, l1_ratio=0.8),
    "positive": lambda a: JointFeature(a, positive=True),
    "dirty": lambda a: Dirty(a, 0.7 * a, alpha_ridge=0.01),
    "temporal": lambda a: Temporal(0.3 * a, alpha_l1=0.3 * a, alpha_group=0.5 * a),
    "mean, L1": lambda a: SharedPlusSpecific(0.1 * a, alpha_l1=0.5 * a),
    "trace norm + L1": lambda a: TraceNorm(0.3 * a) + L1(0.6 * a),
    "weights": lambda a: JointFeature(a, feature_weights=np.r_[0.0, 0.5, np.ones(D - 2)], alpha_ridge=0.01),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("penalty", PENALTIES)
def test_the_minimum_is_that_of_all_features(kind, penalty, rng, monkeypatch):
    data, sets, following = instance(kind, rng), [], WorkingSets.next
    monkeypatch.setattr(_screen, "joining", lambda n_wanted, n_used, widen: 10 * widen + n_used)

    def recorded(self, progress, widen):
        sets.append(following(self, progress, widen))
        return sets[-1]

    monkeypatch.setattr(WorkingSets, "next", recorded)
    top = model_for(kind, JointFeature(1.0)).alpha_max(**data)
    for share in (0.5, 0.2):
        model = model_for(kind, PENALTIES[penalty](share * top), max_iter=5000)
        monkeypatch.setattr(working_sets, "MANY", np.inf)
        usual = model.fit(**data)
        value, gap = usual.objective_, usual.dual_gap_
        monkeypatch.setattr(working_sets, "MANY", 0)
        model.fit(**data)
        assert model.objective_ - model.dual_gap_ <= value * (1.0 + 1e-9)
        assert value - gap <= model.objective_ * (1.0 + 1e-9)
    assert sets
    assert sum(some is not None and len(some) < D for some in sets) >= len(sets) - 2


def test_stages_of_concave_penalties_have_working_sets(rng, monkeypatch):
    data, asked = instance("shared", rng), []
    following = WorkingSets.next
    monkeypatch.setattr(WorkingSets, "next", lambda *args: asked.append(1) or following(*args))
    models = []
    for many in (np.inf, 0):
        monkeypatch.setattr(working_sets, "MANY", many)
        models.append(AdaptiveJointFeatureClassifier(alpha=0.05, tol=1e-8).fit(**data))
    assert asked
    assert models[1].objective_ == pytest.approx(models[0].objective_, rel=1e-5)


def test_too_few_iterations_are_said(rng, monkeypatch):
    data = instance("shared", rng)
    monkeypatch.setattr(working_sets, "MANY", 0)
    penalty = JointFeature(0.3 * MultiTaskClassifier(JointFeature(1.0)).alpha_max(**data))
    with pytest.warns(ConvergenceWarning, match="max_iter=2"):
        model = MultiTaskClassifier(penalty, tol=1e-9, max_iter=2).fit(**data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        best = MultiTaskClassifier(penalty, tol=1e-9, max_iter=5000).fit(**data)
    assert best.objective_ - best.dual_gap_ <= model.objective_
    assert model.objective_ - model.dual_gap_ <= best.objective_
