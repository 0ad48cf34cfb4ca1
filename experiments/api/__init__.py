"""One function for each command; :mod:`experiments` lists them.

Each takes names (of a sweep, ``SWEEP/trial-007``, the start of a run id, a version's number or alias) or the values
that other calls returned. Keyword arguments that they have in common:

* ``tracking_uri``: the MLflow store; None takes that of the passed result if this knows its own, as those of
  ``run_sweep``, ``list_runs``, ``best``, ``evaluate`` and ``ensemble`` do, else ``MLFLOW_TRACKING_URI``, else
  ``mlruns/mlflow.db``.
* ``on_message``: called with each line that the user should read; by default it is written to stderr.
* ``data``: a folder of IDX files or an ``.npz`` file; None takes the data of the sweep or run that is named.

The modules that do the work are imported in the functions: the command line imports these for ``--help``.
"""
