"""Pipeline that predicts with trained models, from new states or beyond the data."""
