"""Pipeline that trains several methods with several seeds, and tables their errors."""
