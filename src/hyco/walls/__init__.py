"""What holds at the edges of the domain: one boundary condition per file (`wall.py`: what a new one has to say)."""
