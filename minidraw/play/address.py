"""Where a server listens: why it cannot, and what others call the place."""

import contextlib
import errno
import socket

from ..errors import reason


def unfit(host: str, port: int, problem: Exception) -> str:
    """Return why a server cannot listen at an address, and what to do."""
    if port > 65535:
        return f"--port must be 65535 or less, not {port}; leave it out for a free one"
    number = getattr(problem, "errno", None)
    if number == errno.EADDRINUSE:
        return f"port {port} is taken by another program: choose another --port, or leave it out for a free one"
    if number in (errno.EACCES, errno.EPERM):
        return f"port {port} needs permission that you do not have: choose a --port of 1024 or more"
    if isinstance(problem, socket.gaierror | ValueError) or number == errno.EADDRNOTAVAIL:
        return f"--host {host} is no address of this computer; leave it out, or 0.0.0.0 is all of its addresses"
    return f"cannot listen at {host}, port {port}: {reason(problem)}; choose another --host or --port"


def outside(version: int) -> str:
    """Return by which address of IP `version` others reach this computer; where there is no network, any address."""
    family, far = (socket.AF_INET6, "2001:db8::1") if version == 6 else (socket.AF_INET, "192.0.2.1")
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as way:
        way.connect((far, 9))  # which sends nothing, but decides by which way it would go
        return way.getsockname()[0]
    return "::" if version == 6 else "0.0.0.0"
