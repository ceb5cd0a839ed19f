"""The harness: it owns gold labels, the grid, training, scoring, storing and reporting."""
