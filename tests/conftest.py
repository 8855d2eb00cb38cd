"""Fixtures of all tests."""

import os

import numpy as np
import pytest


@pytest.fixture
def rng():
    """A generator with a fixed seed, or that of SKMTL_TEST_SEED; any other seed must pass as well."""
    return np.random.default_rng(int(os.environ.get("SKMTL_TEST_SEED", "20240615")))
