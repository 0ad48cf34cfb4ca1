"""The report of a sweep: plots, tables and captions on one page."""
