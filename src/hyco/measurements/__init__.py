"""Measurements from files that people have: one format per file, all to observations.

Nothing is imported here: `config.py`, which every experiment is checked by, takes no time, what reads files takes some.
"""
