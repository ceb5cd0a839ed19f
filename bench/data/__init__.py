"""Texts, gold labels and the tasks that have them."""
