"""Synthetic label noise, one file per kind; `base` says what a kind is."""
