"""Draws test sets of known laws, of which the true metrics are known."""
