"""Both models, trained together."""
