"""Spoken letters: 30 speakers say each of 26 letters twice."""

import numpy as np

from benchmarks.common import load


def spoken_letters(n_splits):
    """Features, letters and speakers of isolet1, and splits; None without the data.

    Of every letter of 20 speakers, one example is learned from and the other scored.  The ten other speakers are not
    scored; both of their examples are among the rows to learn from, so that strengths can be tuned by predicting the
    second from the first.  A split holds the rows to learn from, those to score, and the folds for tuning: one, which
    validates on the second examples of the ten.
    """
    if (data := load("isolet1")) is None:
        return None
    y, speaker = data["y"], data["task"]
    pairs, splits = np.lexsort((y, speaker)).reshape(-1, 2), []  # the two rows of a speaker and a letter
    for seed in range(n_splits):
        rng = np.random.default_rng(seed)
        first, second = rng.permuted(pairs, axis=1).T
        both = np.isin(speaker[second], rng.permutation(np.unique(speaker))[:10])
        train = np.concatenate([first, second[both]])
        fold = np.arange(len(first)), np.arange(len(first), len(train))
        splits.append((train, second[~both], [fold]))
    return data["X"], y, speaker, splits
