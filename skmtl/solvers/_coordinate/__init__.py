"""Parts of coordinate descent, `solvers/coordinate.py`.

columns     products with residuals, and Gram matrices of a few features
separable   the penalty in numbers
gap         the duality gap, and what it proves
rounds      the minimum over all features, by working sets
turns       ... over a working set, by epochs and Newton steps
descent     what can be asked of a working set
on_grams, on_rows
            ... that keeps products up to date, or residuals
epochs      jitted epochs
support     Newton's steps in the weights that are not zero
faces       ... under the maximum norm
lassos      tasks on their own
"""
