"""Kinds of hybrids: one strategy per file."""
