"""Where noisy labels come from."""
