"""Pipeline that trains the network alone, on observations."""
