"""Fixtures of all tests."""

import os

import numpy as np
import pytest


@pytest.fixture
def rng():
    """A generator with a fixed seed, or that of SKMTL_TEST_SEED.

    With another seed, too, what fails is a fault, but for luck: optima of nonconvex models, scores of a few rows,
    problems on which the general solver gives up.
    """
    return np.random.default_rng(int(os.environ.get("SKMTL_TEST_SEED", "20240615")))


@pytest.fixture
def one_blas_thread():
    """BLAS on one thread: with more, products of small matrices mostly wait for each other."""
    from tests.oracles import one_thread  # not above: it imports cvxpy, which few test files need

    with one_thread():
        yield
