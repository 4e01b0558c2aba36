"""The front door: what the names of `import hyco` do, one concern per file; the rest of the package does the work."""
