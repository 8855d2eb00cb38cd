"""Parts of the interior-point method for fused tasks, `solvers/fused.py`.

cones               second-order cones in pairs
edge_systems        the linear equations of a step
fronts              their Cholesky factors, a block for each task
laplacians          those of each feature by itself
sampled_laplacians  ... rough ones, in linear time
"""
