"""Encoders, the shared trainer and the store of shared stages."""
