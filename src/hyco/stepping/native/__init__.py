"""Recorded steps as C++ code of their own: many steps per call, samples side by side."""
