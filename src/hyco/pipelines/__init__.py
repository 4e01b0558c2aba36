"""Kedro pipelines: pure nodes, and their wiring. Heavy libraries are imported inside the nodes, when they run."""
