"""HYCO: both models train each other; the loop, how much each trusts the other, and what each shows the other."""
