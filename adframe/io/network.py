"""Whether a server can be reached, told in seconds where libraries would retry for a minute or more."""

from __future__ import annotations

import urllib.error
import urllib.request


def answers(url: str, *, timeout: float = 5.0) -> bool:
    """True where the server answers at all, with an error too; honours the system's proxies.

    Args:
        url: address that a HEAD request is sent to.
        timeout: seconds to wait.
    """
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=timeout)
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True
