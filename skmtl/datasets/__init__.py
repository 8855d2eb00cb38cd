"""Data sets: generators that return the truth, and loaders for real tasks: pip install skmtl[examples]."""

from skmtl.datasets.generators import (
    make_clustered_tasks,
    make_graph_tasks,
    make_joint_features,
    make_low_rank_tasks,
    make_outlier_tasks,
    make_related_tasks,
    make_temporal_tasks,
)
from skmtl.datasets.loaders import load_bdf, load_exam, load_hsb82, load_radon

__all__ = [
    "load_bdf",
    "load_exam",
    "load_hsb82",
    "load_radon",
    "make_clustered_tasks",
    "make_graph_tasks",
    "make_joint_features",
    "make_low_rank_tasks",
    "make_outlier_tasks",
    "make_related_tasks",
    "make_temporal_tasks",
]
