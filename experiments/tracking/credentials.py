"""Environment variables with credentials of an MLflow store, withheld from workers: only the driver writes to it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from experiments.tracking.redaction import redact

# By words and not by a list, since new versions of MLflow and its libraries add more. Variables that begin otherwise
# are not theirs, and a user's own model or data may need them.
_OF_A_STORE = r"_?(MLFLOW|DATABRICKS|AWS|AZURE|GOOGLE)_"
"""Beginnings of the names of MLflow's variables, and of the services that store its runs and artifacts."""
_WORDS = (
    *("USERNAME", "PASSWORD", "PASSPHRASE", "TOKEN", "SECRET", "KEY", "CREDENTIALS?", "AUTH", "KERBEROS"),
    "SIGV4",  # signs each request with the AWS keys
    "CLIENT_CERT(IFICATE)?_PATH",  # a file with a private key
    *("CONNECTION_STRING", "SAS"),
)
_NAME = re.compile(rf"{_OF_A_STORE}(.*_)?({'|'.join(_WORDS)})(_.*)?")


def credential_variables(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the variables that hold credentials, or the path of a file with credentials.

    They are variables of MLflow, Databricks, AWS, Azure and Google whose name has a word such as PASSWORD, TOKEN or
    KEY, or whose value is a URL with a user's name or a secret parameter. Files in the home folder, such as
    ``~/.aws/credentials``, are not considered.
    """
    return tuple(
        name
        for name, value in environment.items()
        if _NAME.fullmatch(name) or (re.match(_OF_A_STORE, name) and redact(value) != value)
    )
