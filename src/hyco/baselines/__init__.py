"""What every model is held against: persistence, and a physics-informed network."""
