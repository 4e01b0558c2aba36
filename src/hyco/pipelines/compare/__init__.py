"""Several methods over several seeds."""
