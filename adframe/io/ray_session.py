"""Starts Ray on this machine, or connects to a cluster, for as long as it is needed."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from adframe.errors import AdframeError

_AUTH_MODE = "RAY_AUTH_MODE"


@contextmanager
def ray_session(address: str | None, *, option: str, cores: int | None = None) -> Iterator[None]:
    """Starts Ray, and stops it at the end, also after an error.

    Args:
        address: of a cluster that is running; None starts Ray on this machine.
        option: the option that has the address, for messages.
        cores: that Ray may use on this machine; None for all. A cluster knows its own.

    Raises:
        AdframeError: the cluster cannot be reached, or asks for a token that is not here.
    """
    # No usage statistics; and Ray must not hide the GPUs from workers that ask for none.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    # Ray protects what it starts here with a token, by a variable that it leaves behind: processes that this
    # one starts later would ask every cluster for a token.
    mode = os.environ.get(_AUTH_MODE)
    try:
        ray.init(
            address=address or "local",
            num_cpus=None if address else cores,
            include_dashboard=None if address else False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        yield
    except (ConnectionError, ray.exceptions.AuthenticationError) as error:
        if not address:
            raise
        raise AdframeError(f"{option}={address}: {str(error).splitlines()[0]}") from error
    finally:
        ray.shutdown()
        if mode is None:
            os.environ.pop(_AUTH_MODE, None)
