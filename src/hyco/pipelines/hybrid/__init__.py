"""Pipeline that trains the network and the physical model together."""
