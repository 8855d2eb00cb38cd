"""Parts of the solvers for losses other than the squared: `newton.py`, `accelerated.py` and `factored.py`.

row_loss      the loss of rows: its value and slopes
curvature     its second derivatives, and the Hessians that they make
layouts       their products and sums, where tasks share rows or have their own
log_loss      log-losses of a long table, jitted
intercepts    the best intercepts
informative   tasks whose labels say something of W, and what the others get
newton_steps  Newton's steps: models of the loss, minimised
models        parabolas in the place of losses, as moments
proximal      the prox of any penalty, for gradient steps
levelling     Newton's steps along weights that cost nothing
curved        the nearest dual point
working_sets  working sets of features, for any loss
"""
