"""Inverses of many positive definite matrices at once."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import skmtl._threads
from skmtl._inverses import invert_all


@pytest.mark.parametrize("d", [7, 90])
def test_inverses_of_many_matrices(d, rng):
    F = rng.normal(size=(4, d, d + 2))
    A = F @ F.swapaxes(1, 2)
    A[3] = np.outer(A[3, 0], A[3, 0])  # positive definite but for rounding
    inverse = invert_all(A.copy())
    assert_allclose(inverse[:3], np.linalg.inv(A[:3]), rtol=1e-6, atol=1e-9)
    assert np.isfinite(inverse[3]).all()
    assert (np.linalg.eigvalsh(inverse[3]) > -1e-6 * np.abs(inverse[3]).max()).all()


@pytest.mark.parametrize("d", [7, 90])
def test_features_may_differ_in_length(d, rng):
    F, unit = rng.normal(size=(3, d, d + 2)), np.logspace(-5, 5, d)
    A = F @ F.swapaxes(1, 2)
    A[2, -1], A[2, :, -1] = A[2, -2], A[2, :, -2]  # two features alike
    scaled = invert_all(A * unit * unit[:, None]) * unit * unit[:, None]
    assert_allclose(scaled[:2], np.linalg.inv(A[:2]), rtol=1e-6, atol=1e-9)
    assert_allclose(scaled[2, :-2, :-2], np.linalg.inv(A[2, :-1, :-1])[:-1, :-1], rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("d", [7, 90])
def test_threads_change_no_bit(d, rng, monkeypatch):
    F = rng.normal(size=(9, d, d + 2))
    A = F @ F.swapaxes(1, 2)
    one = invert_all(A.copy())
    monkeypatch.setattr(skmtl._threads, "_WORTH_THREADS", 0)
    assert_array_equal(invert_all(A.copy(), n_jobs=2), one)
