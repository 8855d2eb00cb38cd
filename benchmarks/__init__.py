"""Benchmarks: what the models are worth on real data, and how fast they are. ``python -m benchmarks`` runs them all."""
