"""Parts of coordinate descent, `solvers/coordinate.py`.

columns     products with residuals, and Gram matrices of a few features
separable   the penalty in numbers
descent     a working set of features, and what it takes to descend over it
on_grams, on_rows
            ... on its Gram matrices, or on residuals
epochs      its jitted epochs
support     Newton's steps in the weights that are not zero
faces       ... under the maximum norm
lassos      tasks on their own
"""
