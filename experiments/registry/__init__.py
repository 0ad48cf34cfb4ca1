"""The MLflow model registry: versions, the champion, the checks before a promotion."""
