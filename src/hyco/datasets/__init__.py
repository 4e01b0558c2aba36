"""How Kedro loads and saves what a run makes: tensors, fields, checkpoints, live metrics, animations; no pickle."""
