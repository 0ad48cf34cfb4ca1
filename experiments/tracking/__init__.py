"""The MLflow store: opened, written by one recorder, read by queries."""
