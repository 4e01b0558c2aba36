"""Evaluation of whatever a pipeline has trained."""
