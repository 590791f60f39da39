"""Rules that cover the pool: distances, clusters, density."""
