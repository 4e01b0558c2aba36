"""The synthetic models: one network per file, and the model that steps a state forward with any of them."""
