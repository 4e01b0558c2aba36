"""What trained models predict from new states or beyond the data, as a dataset with coordinates and error bars."""
