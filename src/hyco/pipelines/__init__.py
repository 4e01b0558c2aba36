"""What `kedro run` executes: each folder is a pipeline of pure functions; they import heavy libraries when they run."""
