"""A TCP address is taken, or it is said what to do about it."""

import errno
import socket
from typing import Protocol

from heapwarden.domain.errors import ListenError


class Listen(Protocol):
    """Where to listen; ``port`` 0 lets the kernel choose."""

    @property
    def host(self) -> str:
        """Name or address."""

    @property
    def port(self) -> int:
        """TCP port."""


def bound(listen: Listen, setting: str) -> socket.socket:
    """A socket that listens there and does not block. Raises ListenError, which says to change ``setting``."""
    host, port = listen.host, listen.port
    try:
        return _bound(host, port)
    except OSError as error:
        what = _what_to_do(error, port, setting)
        raise ListenError(f"can't listen on {_address(host, port)}: {what}") from error


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind(address)
        bound.listen(socket.SOMAXCONN)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _what_to_do(error: OSError, port: int, setting: str) -> str:
    if isinstance(error, socket.gaierror):
        return f"the host is not known ({error.strerror}); give an address of this machine, or 0.0.0.0 for all"
    match error.errno:
        case errno.EADDRINUSE:
            return f"port {port} is in use (`ss -ltnp sport = :{port}` shows by whom); choose another with {setting}"
        case errno.EACCES:
            return f"port {port} is for privileged users; choose one above 1023 with {setting}"
        case errno.EADDRNOTAVAIL:
            return f"this machine does not have that address; choose another with {setting}, or 0.0.0.0 for all"
    return f"{error.strerror}; choose another address with {setting}"
