"""Environment variables with credentials of an MLflow store: the driver writes to it, workers have no use for them."""

from __future__ import annotations

import re
from collections.abc import Mapping

# By words and not by a list, since MLflow and the libraries beneath it add more. What begins otherwise is not theirs,
# and may be what a user's own model or data asks for.
_OF_A_STORE = r"_?(MLFLOW|DATABRICKS|AWS|AZURE|GOOGLE)_"
"""MLflow's own, and those of the services that it keeps runs and artifacts in."""
_WORDS = (
    *("USERNAME", "PASSWORD", "PASSPHRASE", "TOKEN", "SECRET", "KEY", "CREDENTIALS?", "AUTH", "KERBEROS"),
    "SIGV4",  # has each request signed with the AWS keys
    "CLIENT_CERT(IFICATE)?_PATH",  # a file with a private key
    *("CONNECTION_STRING", "SAS"),
)
_NAME = re.compile(rf"{_OF_A_STORE}(.*_)?({'|'.join(_WORDS)})(_.*)?")
_URL_WITH_USER = re.compile(r"[a-z0-9+.-]+://[^/\s]*@", re.IGNORECASE)


def credential_variables(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the variables that hold credentials, or say where they lie.

    Two kinds: those of MLflow, Databricks, AWS, Azure and Google whose name has a word such as PASSWORD, TOKEN or
    KEY, and those of the same that hold a URL with a user's name in it. Files in the home folder, such as
    ``~/.aws/credentials``, are not looked at.
    """
    return tuple(
        name
        for name, value in environment.items()
        if _NAME.fullmatch(name) or (re.match(_OF_A_STORE, name) and _URL_WITH_USER.match(value))
    )
