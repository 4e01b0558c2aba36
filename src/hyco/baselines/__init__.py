"""Simpler methods that a hybrid has to beat: here a physics-informed network."""
