"""Solvers as oracles: the label of a row is computed inside the compiled experiment."""
