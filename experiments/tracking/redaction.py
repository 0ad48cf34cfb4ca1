"""Removal of credentials from addresses and messages that are shown."""

from __future__ import annotations

import re

HIDDEN = "***"
# A password may have any character but @, as SQLAlchemy reads it; as requests reads it, also @.
_USER_INFO = re.compile(r"(?<=://)(?:[^:/@\s]*:[^@\s]*@|[^/?#@\s]*@)(?:[^/?#@\s]*@)*")
_PARAMETER = re.compile(
    r"([?&][^=&\s]*(?:password|passwd|pwd|secret|token|key|sig|signature|credential|auth)[^=&\s]*=)[^&\s'\"]+",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Remove user names, passwords and secret parameters of queries from the addresses in a text.

    Args:
        text: an address, or a message with any number of addresses.
    """
    return _PARAMETER.sub(rf"\1{HIDDEN}", _USER_INFO.sub("", text))


def redact_of(text: str, uri: str) -> str:
    """Redact a message about an address, also where it has only parts of it, such as the decoded password."""
    from urllib.parse import unquote

    for secret in _secrets_of(uri):
        for spelling in (secret, unquote(secret)):
            text = text.replace(spelling, HIDDEN)
    return redact(text)


def _secrets_of(uri: str) -> list[str]:
    info = _USER_INFO.search(uri)
    user, _, password = info[0].removesuffix("@").partition(":") if info else ("", "", "")
    parameters = [found[0].removeprefix(found[1]) for found in _PARAMETER.finditer(uri)]
    # A password of one or two characters would be found in any word.
    return [secret for secret in (password or user, *parameters) if len(secret) > 2]
