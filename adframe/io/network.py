"""Checks within seconds whether a server is reachable, where libraries would retry for a minute or more."""

from __future__ import annotations

import urllib.error
import urllib.request


def is_reachable(url: str, *, timeout: float = 5.0) -> bool:
    """Tells whether a server answers at all, even with an error; uses the system's proxies.

    Args:
        url: address for a HEAD request.
        timeout: seconds to wait.

    Returns:
        True if there was an answer.
    """
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=timeout)
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True
