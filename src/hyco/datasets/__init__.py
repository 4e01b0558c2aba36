"""Catalog datasets: tensors, PhiFlow Fields, checkpoints, live metrics and animations; no pickle anywhere."""
