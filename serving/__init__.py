"""The champion behind a web page and an HTTP service. It knows predictors, not MLflow."""
