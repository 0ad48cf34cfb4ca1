"""Programs for development that are not installed."""
