"""Pipeline from trained models to the report and its pictures."""
