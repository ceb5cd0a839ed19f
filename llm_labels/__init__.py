"""Labelling texts with an LLM, and the label sets that come of it."""
