"""Sparse approximations of the pool: Frank-Wolfe, greedy, hard thresholding."""
