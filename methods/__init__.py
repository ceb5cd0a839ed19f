"""Methods that learn from noisy labels: one file each, found by name through `methods.registry`."""
