"""Jitted code: one signature a kernel, equal to plain Python, cached safely, and never parallel by itself."""

import ast
import functools
import gc
import importlib
import os
import pkgutil
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numba import config
from numpy.testing import assert_allclose, assert_array_equal
from threadpoolctl import ThreadpoolController, threadpool_info

import skmtl
from skmtl import (
    DirtyRegressor,
    FusedTasksRegressor,
    IndependentRegressor,
    JointFeatureRegressor,
    LatentBasisRegressor,
    MeanRegularizedRegressor,
    PooledRegressor,
    TaskGraphRegressor,
    TemporalRegressor,
)
from skmtl._numba import _uncollected
from skmtl._threads import one_blas_thread
from skmtl.moments._sums import small_tasks
from tests.oracles import INSTANCES

PACKAGE = Path(skmtl.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
jitted = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="kernels are plain Python here")


def _is_kernel_decorator(node):
    return (node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")) == "kernel"


@functools.cache
def kernel_names(source):
    """The names of the kernels a file defines."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and any(map(_is_kernel_decorator, node.decorator_list))
    }


def module_of(source):
    return ".".join(("skmtl", *source.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


KERNELS = [(module_of(source), name) for source in SOURCES for name in sorted(kernel_names(source))]
each_source = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())


def test_there_are_kernels_to_look_at():
    assert ("skmtl.moments._sums", "small_tasks") in KERNELS
    names = {module.name for module in pkgutil.walk_packages(skmtl.__path__, "skmtl.")}
    assert names <= {module_of(source) for source in SOURCES}


# ---------------------------------------------------------------------------------------------------------- source


@each_source
def test_nothing_is_parallel_fast_and_loose_or_a_jitted_class(source):
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        names = {getattr(node, "id", ""), getattr(node, "attr", ""), getattr(node, "name", "")}
        assert not names & {"prange", "jitclass", "generated_jit", "set_num_threads"}, ast.dump(node)[:200]
        if isinstance(node, ast.keyword):
            assert node.arg != "parallel", "a parallel kernel aborts the process when two threads enter it"
            assert node.arg != "fastmath" or not _is_true(node.value), "fastmath=True makes isnan return False"


def _is_true(node):
    return isinstance(node, ast.Constant) and node.value is True


@each_source
def test_only_one_file_compiles(source):
    if source.name in ("_numba.py", "_jit.py", "_math.py", "_arrays.py"):  # the latter: operations of the network's
        return
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] != "numba"
        if isinstance(node, ast.Import):
            assert all(name.name.split(".")[0] != "numba" for name in node.names)
        assert getattr(node, "id", getattr(node, "attr", "")) not in {
            "njit",
            "jit",
            "vectorize",
            "guvectorize",
            "stencil",
        }


@each_source
def test_a_kernel_stands_at_module_level_and_calls_kernels_of_its_own_file_only(source):
    """The cache knows a change by the file it stands in: a callee edited elsewhere would run as it was."""
    tree, own = ast.parse(source.read_text(encoding="utf-8")), kernel_names(source)
    top = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert own <= top
    foreign = {name for other in SOURCES if other != source for name in kernel_names(other)} - own
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in own:
            used = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
            assert not used & foreign
            assert not used & _imported_from_package(tree)


def _imported_from_package(tree):
    """Names that other files of the package gave: a kernel would freeze their values."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {
        name.asname or name.name for node in imports if (node.module or "").startswith("skmtl") for name in node.names
    } - {"kernel"}


# --------------------------------------------------------------------------------------------------------- results


def arguments(rng, sizes=(3, 1, 0, 7, 5, 2), d=3, *, weights=True, center=1):
    """Arguments of `small_tasks`: small, so that plain Python is quick, too."""
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    n, T = starts[-1], len(sizes)
    X, y = rng.normal(size=(n, d)) + 5.0, rng.normal(size=n)
    root = np.sqrt(rng.uniform(0.1, 2.0, size=n)) if weights else np.empty(0)
    place = np.where(np.array(sizes) >= d, np.cumsum(np.array(sizes) >= d) - 1, -1).astype(np.int64)
    place[4] = -2  # summed elsewhere
    inputs = [X, y, root, starts, place]
    shapes = [(T, d), T, T, (3, d, d), (T, d), T]
    outputs = [np.full(shape, 9.25) for shape in shapes]
    for array in inputs:
        array.flags.writeable = False
    return inputs, (0, T, center), np.full((max(sizes), d), np.nan), outputs


@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize("center", [1, 0])
def test_a_jitted_kernel_equals_plain_python(weights, center, rng):
    inputs, numbers, block, compiled = arguments(rng, weights=weights, center=center)
    plain = [out.copy() for out in compiled]
    small_tasks(*inputs, *numbers, block, *compiled)
    getattr(small_tasks, "py_func", small_tasks)(*inputs, *numbers, block.copy(), *plain)
    for got, want in zip(compiled, plain, strict=True):
        assert_allclose(got, want, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize("center", [1, 0])
def test_a_kernel_sums_what_its_formula_says_and_touches_nothing_else(weights, center, rng):
    inputs, numbers, block, outputs = arguments(rng, weights=weights, center=center)
    X, y, root, starts, place = inputs
    small_tasks(*inputs, *numbers, block, *outputs)
    x_mean, y_mean, weight, gram, xy, yy = outputs
    for t in range(len(starts) - 1):
        rows = slice(starts[t], starts[t + 1])
        if place[t] == -2:
            for out in (x_mean[t], y_mean[t], weight[t], xy[t], yy[t]):
                assert_array_equal(out, np.full_like(out, 9.25))
            continue
        s = root[rows] ** 2 if weights else np.ones(rows.stop - rows.start)
        N = s.sum()
        mean = s @ X[rows] / N if center and N else np.zeros(X.shape[1])
        y_best = s @ y[rows] / N if center and N else 0.0
        A, v = X[rows] - mean, y[rows] - y_best
        for got, want in [
            (weight[t], N),
            (x_mean[t], mean),
            (y_mean[t], y_best),
            (xy[t], A.T @ (s * v)),
            (yy[t], s @ v**2),
        ]:
            assert_allclose(got, want, rtol=1e-12, atol=1e-13)
        if place[t] >= 0:
            assert_allclose(gram[place[t]], (A.T * s) @ A, rtol=1e-12, atol=1e-13)


def test_a_kernel_fills_only_the_range_it_is_given(rng):
    inputs, (_, T, center), block, outputs = arguments(rng)
    whole = [out.copy() for out in outputs]
    small_tasks(*inputs, 0, T, center, block, *whole)
    for first, last in [(0, 2), (2, 3), (3, T)]:
        small_tasks(*inputs, first, last, center, block, *outputs)
    for got, want in zip(outputs, whole, strict=True):
        assert_array_equal(got, want)


@jitted
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # strengths do not suit all instances
def test_every_kernel_has_one_signature_after_use(rng):
    """Layouts, weights, types and memory orders are settled before a kernel sees them: it compiles once."""
    estimators = [
        IndependentRegressor(),
        PooledRegressor(task_intercepts=True),
        MeanRegularizedRegressor(alpha_intercept=1.0),
        TaskGraphRegressor(),
        TaskGraphRegressor(n_jobs=2, fit_intercept=False, task_weight="auto"),
        JointFeatureRegressor(0.1),
        JointFeatureRegressor(0.1, norm=np.inf, alpha_l1=0.01, positive=True),
        DirtyRegressor(0.1, norm=np.inf),
        TemporalRegressor(0.1, alpha_l1=0.01),
        FusedTasksRegressor(0.1),
        FusedTasksRegressor(0.1, norm=1),
        LatentBasisRegressor(),
    ]
    for make in INSTANCES.values():
        for estimator in estimators:
            data = make(rng)
            estimator.fit(**data.arguments)
    data = INSTANCES["uneven tasks"](rng)
    order = np.argsort(data.task, kind="stable")
    for X in (
        np.asfortranarray(data.X),
        data.X.astype(np.float32),
        data.X[order][:, ::-1],
        data.X.tolist(),
        (10 * data.X).astype(int),
    ):
        for y in (data.y, data.y.astype(np.float32), data.y.round().astype(int), data.y.tolist()):
            for weight in (None, np.arange(1, len(data.y) + 1), np.ones(len(data.y), dtype=np.float32)):
                for task in (data.task, data.task[order], np.arange(len(data.y)) // 9):
                    IndependentRegressor().fit(X, y, weight, task=task)
    frozen = [array.copy() for array in (data.X[order], data.y[order])]
    for array in frozen:
        array.flags.writeable = False
    IndependentRegressor().fit(*frozen, task=data.task[order])
    for module, name in KERNELS:
        signatures = getattr(importlib.import_module(module), name).signatures
        assert len(signatures) <= 1, f"{name}: {signatures}"  # none where another kernel that calls it was in the cache


@jitted
@pytest.mark.parametrize(("module", "name"), KERNELS, ids=lambda v: v)
def test_a_kernel_releases_the_lock_and_divides_as_numpy_does(module, name):
    options = getattr(importlib.import_module(module), name).targetoptions
    assert options["nogil"]
    assert options["error_model"] == "numpy"
    assert not options.get("parallel")
    assert not options.get("fastmath")


# ------------------------------------------------------------------------------------------------------- the cache

TINY = """
from _numba import kernel

@kernel
def double(x):
    return 2.0 * x
"""
RUN = """
from tiny import double
print(double(21.0), sum(double.stats.cache_hits.values()))
"""


def run(place, **environment):
    """Call the kernel in a new process: its result, and how often the cache had it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "COV"))}
    clean |= {"PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"} | environment
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN], env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    result, hits = done.stdout.split()
    return float(result), int(hits)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A folder with a tiny kernel and `_numba.py`, whose cache is filled."""
    place = tmp_path_factory.mktemp("cache")
    shutil.copy(PACKAGE / "_numba.py", place)
    (place / "tiny.py").write_text(TINY)
    assert run(place) == (42.0, 0)
    assert run(place) == (42.0, 1)
    return place


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_is_collected_after_a_compilation_as_before(enabled):
    """Also after one that fails; and not meanwhile."""
    before = gc.isenabled()
    try:
        gc.enable() if enabled else gc.disable()
        assert not _uncollected(gc.isenabled)()
        assert gc.isenabled() == enabled
        with pytest.raises(ZeroDivisionError):
            _uncollected(lambda: 1 / 0)()
        assert gc.isenabled() == enabled
    finally:
        gc.enable() if before else gc.disable()


@jitted
@pytest.mark.parametrize("damage", ["empty index", "truncated index", "truncated code"])
def test_a_damaged_cache_costs_a_compilation_and_no_more(compiled, damage, tmp_path):
    place = shutil.copytree(compiled, tmp_path / "copy")
    (index,), (code,) = place.rglob("*.nbi"), place.rglob("*.nbc")
    file = index if "index" in damage else code
    file.write_bytes(b"" if damage == "empty index" else file.read_bytes()[:-40])
    assert run(place) == (42.0, 0)
    assert run(place) == (42.0, 1), "the cache was not repaired"


@jitted
def test_without_a_place_to_write_kernels_compile_in_every_process(tmp_path):
    """No directory for the cache can be made: neither beside the source nor at home."""
    shutil.copy(PACKAGE / "_numba.py", tmp_path)
    (tmp_path / "tiny.py").write_text(TINY)
    (tmp_path / "__pycache__").write_text("a file where a directory should be")
    nowhere = str(tmp_path / "__pycache__" / "nowhere")
    homeless = {"HOME": nowhere, "XDG_CACHE_HOME": nowhere, "IPYTHONDIR": nowhere, "LOCALAPPDATA": nowhere}
    for _ in range(2):
        assert run(tmp_path, **homeless) == (42.0, 0)
    assert not list(tmp_path.rglob("*.nbi"))


@jitted
def test_a_failing_write_is_not_an_error(monkeypatch):
    """A full disk while saving."""
    import skmtl._numba as module

    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(module.FunctionCache, "save_overload", fail)
    monkeypatch.setattr(module.FunctionCache, "load_overload", fail)
    monkeypatch.setattr(module.FunctionCache, "flush", fail)
    again = module.kernel(small_tasks.py_func)
    inputs, numbers, block, outputs = arguments(np.random.default_rng(0))
    expected = [out.copy() for out in outputs]
    small_tasks(*inputs, *numbers, block, *expected)
    again(*inputs, *numbers, block, *outputs)
    for got, want in zip(outputs, expected, strict=True):
        assert_array_equal(got, want)


@pytest.mark.slow
def test_the_library_gives_the_same_answers_without_compilation():
    answers = []
    for disabled in "01":
        environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent), "NUMBA_DISABLE_JIT": disabled}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", FIT], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        answers.append(np.array(ast.literal_eval(done.stdout)))
    assert_allclose(answers[0], answers[1], rtol=1e-12)


FIT = """
import numpy as np, skmtl
X = np.arange(12.0).reshape(6, 2) ** 2
linear = skmtl.MeanRegularizedRegressor(0.5).fit(X, np.arange(6.0), task=["a", "b"] * 3)
network = skmtl.MultiTaskMLPRegressor((3,), task_weight="uncertainty", max_iter=2, random_state=0).fit(X / 100, X)
print([*linear.coef_.ravel().tolist(), *network.predict(X).ravel().tolist()])
"""


# ---------------------------------------------------------------------------------------------------- BLAS threads


def blas_threads(among=None):
    """How many threads each BLAS library has."""
    pools = {pool["filepath"]: pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
    return pools if among is None else {path: pools[path] for path in among}


BEFORE = {path: n for path, n in blas_threads().items() if n > 1}  # when tests are collected: none has left a limit


def set_blas_threads(counts):
    for library in ThreadpoolController().lib_controllers:
        if library.filepath in counts:
            if hasattr(library, "clear_controlling_thread"):
                library.clear_controlling_thread(force=True)
            library.set_num_threads(counts[library.filepath])


@pytest.fixture
def unlimited(monkeypatch):
    """The libraries that have more than one thread, and how many; afterwards they have as many again."""
    if not BEFORE:
        pytest.skip("BLAS has one thread here")
    monkeypatch.setattr(one_blas_thread, "_controller", None)  # look for libraries again
    set_blas_threads(BEFORE)
    yield BEFORE
    set_blas_threads(BEFORE)


def limited(before):
    return dict.fromkeys(before, 1)


def test_the_limit_holds_until_the_last_leaves(unlimited):
    for _ in range(2):
        with one_blas_thread:
            assert blas_threads(unlimited) == limited(unlimited)
            with one_blas_thread, one_blas_thread:
                assert blas_threads(unlimited) == limited(unlimited)
            assert blas_threads(unlimited) == limited(unlimited)
        assert blas_threads(unlimited) == unlimited


def test_the_limit_is_lifted_after_an_error(unlimited):
    def fail():
        with one_blas_thread:
            raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        fail()
    assert blas_threads(unlimited) == unlimited


def test_threads_that_overlap_share_the_limit(unlimited):
    """The first in leaves first, and lives on: the last out has to lift a limit that another thread has set."""
    entered, leave, left, seen = threading.Event(), threading.Event(), threading.Event(), []

    def second():
        entered.wait(10)
        with one_blas_thread:
            leave.set()
            left.wait(10)
            seen.append(blas_threads(unlimited))

    thread = threading.Thread(target=second)
    thread.start()
    with one_blas_thread:
        entered.set()
        leave.wait(10)
    left.set()
    thread.join(20)
    assert seen == [limited(unlimited)]
    assert blas_threads(unlimited) == unlimited


def test_fits_in_many_threads_leave_the_threads_of_the_process_as_they_were(unlimited, rng):
    X, task = rng.normal(size=(2000, 10)), np.repeat(np.arange(50), 40)
    expected = MeanRegularizedRegressor().fit(X, X[:, 0], task=task).coef_

    def fit(_):
        return [MeanRegularizedRegressor().fit(X, X[:, 0], task=task).coef_ for _ in range(15)]

    with ThreadPoolExecutor(4) as pool:
        for coefs in pool.map(fit, range(8)):
            for coef in coefs:
                assert_array_equal(coef, expected)
        assert blas_threads(unlimited) == unlimited


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_does_not_inherit_a_lock_that_is_held():
    code = """
import os, sys, threading, warnings
warnings.simplefilter("ignore")
from skmtl._threads import one_blas_thread
with one_blas_thread:
    one_blas_thread._lock.acquire()
    child = os.fork()
    if child == 0:
        with one_blas_thread:
            os._exit(7)
    one_blas_thread._lock.release()
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, timeout=60, check=False)
    assert done.returncode == 7
