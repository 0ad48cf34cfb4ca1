"""The champion behind a web page and an HTTP service. It uses predictors, not MLflow."""
