"""The network: what a fit costs.

``python -m benchmarks.network_speed [peers] [activations] [weights] [threads] [products] [first]``; without names, all.

peers        the same architecture, optimiser, batches and epochs as scikit-learn's MLP in float64 and, where it is
             installed, PyTorch with fused Adam in float32; the losses that both reached stand beside and differ by
             their random numbers only
activations  tanh and logistic hidden units against relu, at shape b
weights      gradient-based weights of tasks against equal ones, at shape a
threads      four fits in four threads against one after the other, at shape b
products     matrix products by blocks of rows and terms, as the library makes them, against whole ones, at shapes b, c
first        the first fit of a process, beyond imports: cold, with nothing compiled yet, and warm

`fit` from end to end, without compilation except in `first`; rivals take turns.  All but `threads` is CPU time on one
thread, which does not depend on how busy the machine is; `threads` is time on the clock and needs two idle cores.
"""

import os
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier, MLPRegressor
from threadpoolctl import threadpool_limits

from benchmarks.common import best_times, chosen, machine, print_header, print_ratio
from skmtl import MultiTaskMLPClassifier, MultiTaskMLPRegressor
from skmtl.neural import _layout

try:
    import torch
except ImportError:
    torch = None

SHAPES = {  # name -> rows, features, hidden units, outputs, whether these are classes, batch, epochs, the two goals
    "a": (10_000, 20, 32, 4, False, 64, 10, 15.0, 25.0),
    "b": (20_000, 64, 100, 8, False, 200, 5, 3.5, 4.5),
    "c": (60_000, 784, 128, 10, True, 128, 3, 1.6, 2.2),
    "d": (5_000, 10, 16, 1, False, 32, 10, 30.0, 50.0),
}


def teacher(shape, seed=0):
    """Standard normal rows, and what a random network with a little noise makes of them."""
    n, d, _, n_outputs, classes, *_ = SHAPES[shape]
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    Y = np.tanh(X @ rng.normal(size=(d, 16)) / np.sqrt(d)) @ rng.normal(size=(16, n_outputs))
    Y = Y / Y.std(axis=0) + 0.1 * rng.normal(size=Y.shape)
    if classes:
        return X, Y.argmax(axis=1)
    return X, Y if n_outputs > 1 else Y[:, 0]


def budget(shape):
    """Parameters that skmtl and scikit-learn have in common: so many epochs, whatever the loss."""
    _, _, hidden, _, _, batch, epochs, *_ = SHAPES[shape]
    fixed = {"tol": 0.0, "max_iter": epochs, "n_iter_no_change": epochs}
    return {"hidden_layer_sizes": (hidden,), "batch_size": batch, "random_state": 0, **fixed}


def network(shape, **settings):
    """Ours; it leaves the labels as they are, for equal losses."""
    classes = SHAPES[shape][4]
    model = MultiTaskMLPClassifier() if classes else MultiTaskMLPRegressor(standardize_y=False)
    return model.set_params(**{**budget(shape), **settings})


def half_squares(y, predicted):
    """Half the squared error, summed over outputs."""
    return 0.5 * np.sum((y - predicted) ** 2) / len(y)


def loss_of(model, X, y, classes):
    """The loss on the rows that were learned from, as `torch_loss`."""
    return log_loss(y, model.predict_proba(X)) if classes else half_squares(y, model.predict(X))


def fit_torch(X, y, shape):
    """The trained module, from the plainest loop that is fast: rows picked by index, one fused step a batch."""
    _, d, hidden, n_outputs, classes, batch, epochs, *_ = SHAPES[shape]
    X, y = torch.from_numpy(X), torch.from_numpy(y if classes else y.reshape(len(y), -1))
    net = torch.nn.Sequential(torch.nn.Linear(d, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, n_outputs))
    for layer in net[::2]:
        torch.nn.init.xavier_uniform_(layer.weight)  # as the others start; the default would reach other losses
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    for _ in range(epochs):
        for rows in torch.randperm(len(X)).split(batch):
            output, label = net(X[rows]), y[rows]
            if classes:
                loss = torch.nn.functional.cross_entropy(output, label)
            else:
                loss = 0.5 * n_outputs * torch.nn.functional.mse_loss(output, label)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net


def torch_loss(net, X, y, classes):
    """The loss on the rows that were learned from, as `loss_of`."""
    with torch.no_grad():
        output = net(torch.from_numpy(X))
        if classes:
            return float(torch.nn.functional.cross_entropy(output, torch.from_numpy(y)))
        return half_squares(y.reshape(len(y), -1), output.numpy())


def race(shape):
    """One shape: a row against scikit-learn, and one against PyTorch."""
    classes, epochs, goals = SHAPES[shape][4], SHAPES[shape][6], SHAPES[shape][7:]
    X, y = teacher(shape)
    X32, y32 = X.astype(np.float32), y if classes else y.astype(np.float32)
    ours, ours32 = network(shape), network(shape)
    theirs = (MLPClassifier if classes else MLPRegressor)(**budget(shape))
    calls = {"float64": lambda: ours.fit(X, y), "scikit-learn": lambda: theirs.fit(X, y)}
    if torch is not None:
        nets = []
        calls["float32"] = lambda: ours32.fit(X32, y32)
        calls["PyTorch"] = lambda: nets.append(fit_torch(X32, y32, shape))
    seconds = best_times(calls, 5, time.process_time)
    losses = {"float64": loss_of(ours, X, y, classes), "scikit-learn": loss_of(theirs, X, y, classes)}
    if torch is not None:
        losses["float32"] = loss_of(ours32, X32, y32, classes)
        losses["PyTorch"] = torch_loss(nets[-1], X32, y32, classes)
    for own, rival, goal in zip(("float64", "float32"), ("scikit-learn", "PyTorch"), goals, strict=True):
        if rival in calls:
            times = f"{1e3 * seconds[own] / epochs:9.2f}{1e3 * seconds[rival] / epochs:12.2f}"
            ratio = seconds[rival] / seconds[own]
            print(f"({shape}) {rival:14}{times}{ratio:9.1f}x{goal:8.1f}x {losses[own]:10.4f}{losses[rival]:10.4f}")
    sys.stdout.flush()


def peers():
    """All shapes."""
    print("CPU milliseconds per epoch, and the loss in the end")
    print(f"{'':18}{'ours':>9}{'theirs':>12}{'ratio':>10}{'goal':>9}{'loss':>11}{'theirs':>10}")
    if torch is None:
        print("PyTorch is not installed: not timed")
    else:
        torch.set_num_threads(1)
    for shape in SHAPES:
        race(shape)


def variants(shape, name, values, goal):
    """Fits with another value of a parameter against those with the first."""
    print_header()
    X, y = teacher(shape)
    models = {value: network(shape, **{name: value}) for value in values}
    seconds = best_times({value: lambda m=model: m.fit(X, y) for value, model in models.items()}, 5, time.process_time)
    plain, *others = values
    for value in others:
        print_ratio(f"({shape}) {plain} / {value}", plain, value, seconds, f"goal: at most {goal}x")


def threads():
    """Independent fits, as in a search over parameters."""
    print_header()
    X, y = teacher("b")
    models = [network("b", random_state=seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        calls = {
            "serial": lambda: [model.fit(X, y) for model in models],
            "threads": lambda: list(pool.map(lambda model: model.fit(X, y), models)),
        }
        seconds = best_times(calls)
    what = f"(b) 4 fits in turn / in 4 threads, {os.cpu_count()} cores"
    print_ratio(what, "serial", "threads", seconds, "goal: at most 0.6x")


def products():
    """Matrix products by blocks against whole ones; alike where this OpenBLAS has no faster path for small ones."""
    print_header()
    small = _layout.small_product
    for shape in ("b", "c"):
        data = teacher(shape)

        def fit(limit, shape=shape, data=data):
            _layout.small_product = limit
            network(shape).fit(*data)

        seconds = best_times({"blocks": lambda: fit(small), "whole": lambda: fit(lambda: 0)}, 5, time.process_time)
        print_ratio(f"({shape}) products by blocks / whole", "blocks", "whole", seconds, "")
    _layout.small_product = small


FIRST = """
import time
from benchmarks.network_speed import network, teacher
X, y = teacher("a")
start = time.process_time()
network("a", task_weight={rule!r}).fit(X[:100], y[:100])
print(time.process_time() - start)
"""


def first():
    """A new process for every number, and a new cache for every rule."""
    for rule, goal in (("equal", 6), ("pcgrad", 10)):
        with tempfile.TemporaryDirectory() as cache:
            environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
            command = [sys.executable, "-c", FIRST.format(rule=rule)]
            cold, warm = (float(subprocess.check_output(command, env=environment)) for _ in range(2))
        goals = f"goal: {goal} s cold, 0.5 s warm"
        print(f"{f'first fit, {rule} weights':58} {cold:9.2f} s   {warm:9.2f} s             {goals}", flush=True)


PARTS = {
    "peers": peers,
    "activations": lambda: variants("b", "activation", ("relu", "tanh", "logistic"), 1.3),
    "weights": lambda: variants("a", "task_weight", ("equal", "pcgrad", "upgrad"), 2.5),
    "threads": threads,
    "products": products,
    "first": first,
}


def main(names=()):
    """Run all, or the parts that are named."""
    print(machine())
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # epochs are a budget
        for part in chosen(names, PARTS):
            part()


if __name__ == "__main__":
    main(sys.argv[1:])
