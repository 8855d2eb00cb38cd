"""Parts of coordinate descent, `solvers/coordinate.py`.

columns     products with residuals, and Gram matrices of a few features
separable   the penalty in numbers
descent     the descent over a working set
epochs      its jitted epochs
support     Newton's steps in the weights that are not zero
faces       ... under the maximum norm
lassos      tasks on their own
"""
