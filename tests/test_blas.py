"""Matrix products by a few rows are the products."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import skmtl._blas
from skmtl._blas import small_product, thin_product


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("small", [0, 100, 300, 10**6])
def test_any_number_of_rows_at_once_gives_the_product(small, dtype, rng, monkeypatch):
    calls = []
    monkeypatch.setattr(skmtl._blas, "small_product", lambda: calls.append(small) or small)
    A, V = rng.normal(size=(51, 7)).astype(dtype), rng.normal(size=(7, 3)).astype(dtype)
    for left in (A, A.T[:, :7].T, np.asfortranarray(A), A[:0]):
        out = thin_product(left, V)
        assert out.dtype == dtype
        assert_allclose(out, left @ V, rtol=1e-4 if dtype == "float32" else 1e-12, atol=1e-6)
    assert calls


@pytest.mark.parametrize(("architecture", "expected"), [("SkylakeX", 1_000_000), ("Haswell", 0), (None, 0)])
def test_small_products_are_those_of_some_processors(architecture, expected, monkeypatch):
    libraries = [{"user_api": "openmp"}, {"user_api": "blas", "architecture": architecture}]
    monkeypatch.setattr(skmtl._blas, "threadpool_info", lambda: libraries)
    assert small_product.__wrapped__() == expected
