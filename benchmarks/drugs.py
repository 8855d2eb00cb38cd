"""265 drugs on 988 cell lines, a fifth of the labels missing: multitask models against ridge regression drug by drug.

``python -m benchmarks.drugs [repeats]``.  First what a fit on all rows costs, features standardised, to the default
tolerance.  Then a fifth of the cell lines is held out; strengths are tuned on the rest by five-fold cross-validation,
and for RidgeCV by its own leave-one-out.  R^2 is the mean over drugs, each on the held-out lines it was measured on;
seconds are those of the last fit alone.
"""

import sys
import time
import tracemalloc

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold
from sklearn.preprocessing import scale

from benchmarks.common import EachColumn, load, machine
from skmtl import MeanRegularizedRegressor, TraceNormRegressor

RIDGE_BY_DRUG = EachColumn(RidgeCV(np.geomspace(1.0, 3000.0, 9)))
TRACE = np.geomspace(3.0, 0.3, 5)
MEAN = np.geomspace(1.0, 0.05, 5)
SHARED = (10.0, 30.0, 100.0, 300.0, 3000.0)


def mean_r2(Y, predicted):
    """The mean over drugs of R^2 on the lines where each was measured."""
    scores = []
    for y, p in zip(Y.T, predicted.T, strict=True):
        known = ~np.isnan(y)
        if known.sum() > 10:
            scores.append(r2_score(y[known], p[known]))
    return float(np.mean(scores))


def held_out(n, repeat):
    """Which of n rows are held out, bool (n,)."""
    return np.random.default_rng(repeat).permutation(n) < n // 5


def tuned(models, alphas, X, Y):
    """The model and strength that predict best in five-fold cross-validation."""
    folds = list(KFold(5, shuffle=True, random_state=0).split(X))
    best = (-np.inf, None)
    for model in models:
        scores = np.zeros(len(alphas))
        for train, test in folds:
            path = model.path(X[train], Y[train], alphas=alphas)
            scores += [
                mean_r2(Y[test], X[test] @ coef.T + intercept)
                for coef, intercept in zip(path.coefs, path.intercepts, strict=True)
            ]
        if scores.max() > best[0]:
            best = scores.max(), model.set_params(alpha=alphas[scores.argmax()]).get_params()
    return type(models[0])(**best[1])


def measured(model, X, Y):
    """The fitted model, and seconds of the fit."""
    start = time.perf_counter()
    model.fit(X, Y)
    seconds = time.perf_counter() - start
    return model, seconds


def costs(X, Y):
    """Print seconds of fits, strong ones and weak, and the most memory that the weakest trace norm takes besides."""
    largest = TraceNormRegressor().alpha_max(X, Y)
    models = [TraceNormRegressor(share * largest) for share in (0.3, 0.1, 0.03, 0.01)]
    models += [MeanRegularizedRegressor(alpha) for alpha in (1.0, 0.1, 0.01)]
    for model in models:
        fitted, seconds = measured(model, X, Y)
        print(
            f"  {model}: {seconds:.1f} s, gap {fitted.dual_gap_ / fitted.objective_:.0e} of the objective", flush=True
        )
    tracemalloc.start()
    TraceNormRegressor(0.01 * largest).fit(X, Y)
    print(f"  memory of its fit, at most: {tracemalloc.get_traced_memory()[1] / 1e9:.2f} GB")
    tracemalloc.stop()


def main(repeats=5):
    """Print a row per repeat and method."""
    data = load("gdsc_v17")
    if data is None:
        return
    X, Y = data["X"], data["Y"]
    print(machine())
    costs(scale(X), Y)
    print("gdsc_v17, 20 % of the cell lines held out: mean R^2 over drugs")
    table = {"RidgeCV, drug by drug": [], "trace norm": [], "mean-regularised": []}
    for repeat in range(repeats):
        test = held_out(len(X), repeat)
        train = X[~test], Y[~test]
        table["RidgeCV, drug by drug"].append(mean_r2(Y[test], RIDGE_BY_DRUG.fit(*train).predict(X[test])))
        for name, models, alphas in [
            ("trace norm", [TraceNormRegressor()], TRACE),
            ("mean-regularised", [MeanRegularizedRegressor(alpha_shared=a) for a in SHARED], MEAN),
        ]:
            best = tuned(models, alphas, *train)
            model, seconds = measured(best, *train)
            table[name].append(mean_r2(Y[test], model.predict(X[test])))
            print(f"  {name}: {best}, {seconds:.1f} s", flush=True)
        print("  " + ", ".join(f"{name} {scores[-1]:.4f}" for name, scores in table.items()), flush=True)
    for name, scores in table.items():
        better = np.mean(np.array(scores) >= np.array(table["RidgeCV, drug by drug"]))
        print(f"{name:24} {np.mean(scores):.4f} (sd {np.std(scores):.4f}), at least RidgeCV in {100 * better:.0f} %")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
