"""Simulations and what is observed of them."""
