"""Clips made usable: what is wrong with one (check), mended, carried over to another skeleton, and made in code."""
