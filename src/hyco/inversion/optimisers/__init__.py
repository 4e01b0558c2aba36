"""Optimisers: one per file, all with the same result."""
