"""Addresses, paths, names and patterns: how their text is read."""

import ipaddress
import re
import warnings
from pathlib import Path
from urllib.parse import urlsplit

from heapwarden.settings.faults import WrongValueError, quote
from heapwarden.settings.model import Listen

MAX_SOCKET_PATH_BYTES = 107
"""``sun_path`` has 108 bytes, the last of which is 0 (unix(7))."""
MAX_PATH_BYTES = 4095
"""PATH_MAX less the 0 at the end (limits.h)."""
MAX_NAME_CHARACTERS = 100
MAX_LEASE_CHARACTERS = 200
"""Kubernetes takes 253; a number may come after it."""
MAX_PATTERN_CHARACTERS = 1000
MAX_PID = 2**22
"""PID_MAX_LIMIT of 64-bit kernels (proc(5), pid_max)."""
MAX_PORT = 65535
MAX_URL_CHARACTERS = 2000

_ADDRESS = re.compile(r"(?:\[(?P<ipv6>[^\[\]]*)\]|(?P<host>[^:\[\]]*)):(?P<port>[0-9]{1,5})")
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_NAME = re.compile(f"[A-Za-z0-9._:-]{{1,{MAX_NAME_CHARACTERS}}}")
_LEASE = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
"""A DNS subdomain, as RFC 1123 has them."""
_SWITCH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def read_listen(text: str) -> Listen:
    """``HOST:PORT``, ``[IPV6]:PORT`` or ``:PORT`` (all IPv4 addresses). Raises WrongValueError."""
    match = _ADDRESS.fullmatch(text)
    if not match:
        if text.isascii() and text.isdigit():
            raise WrongValueError(f"{quote(text)} has no colon", f"write :{text} for all addresses")
        right = "write HOST:PORT, [IPV6]:PORT or :PORT, as 127.0.0.1:9797, [::1]:9797 or :9797"
        raise WrongValueError(f"{quote(text)} is not an address", right)
    port = int(match["port"])
    if port > MAX_PORT:
        raise WrongValueError(f"port {port} is out of range", f"write a port from 0 (the kernel chooses) to {MAX_PORT}")
    if match["ipv6"] is not None:
        return Listen(_ip_address(match["ipv6"], ipaddress.IPv6Address), port)
    host = match["host"]
    if not host:
        return Listen(port=port)
    if not re.search("[A-Za-z]", host):
        return Listen(_ip_address(host, ipaddress.IPv4Address), port)
    if not _HOST.fullmatch(host):
        raise WrongValueError(f"{quote(host)} is not a host's name", f"write for example localhost:{port}")
    return Listen(host, port)


def write_listen(listen: Listen) -> str:
    """The text that :func:`read_listen` reads as ``listen``."""
    host = f"[{listen.host}]" if ":" in listen.host else listen.host
    return f"{host}:{listen.port}"


def read_path(text: str) -> Path:
    """An absolute path. Raises WrongValueError."""
    if not text.startswith("/"):
        right = f"write the whole path, as /run/{text}" if re.fullmatch(r"[\w.-]+", text) else "write the whole path"
        raise WrongValueError(f"{quote(text)} is not an absolute path", right)
    if "\0" in text or len(_bytes(text)) > MAX_PATH_BYTES:
        raise WrongValueError(f"{quote(text)} can't be a path")
    return Path(text)


def read_socket_path(text: str) -> Path:
    """An absolute path that fits into a socket's address. Raises WrongValueError."""
    path = read_path(text)
    if text.endswith("/") or path == Path("/"):
        raise WrongValueError(f"{quote(text)} is a folder", f"write {path / 'agent.sock'}")
    length = len(_bytes(str(path)))
    if length > MAX_SOCKET_PATH_BYTES:
        right = f"choose one of at most {MAX_SOCKET_PATH_BYTES} bytes"
        raise WrongValueError(f"the path has {length} bytes, more than the kernel takes for a socket", right)
    return path


def read_mode(text: str) -> int:
    """File permissions in octal, ``0660``. Raises WrongValueError."""
    if not re.fullmatch("0[0-7]{3}", text):
        raise WrongValueError(f"{quote(text)} is not a mode in octal", "write a 0 and three octal digits, as 0660")
    mode = int(text, 8)
    if not mode & 0o222:
        raise WrongValueError(f"{text} lets nobody write, which connecting to a socket needs", "write 0660, or 0666")
    return mode


def read_name(text: str) -> str:
    """What can stand in a label and as one segment of a URL. Raises WrongValueError."""
    if _NAME.fullmatch(text) and text.strip("."):
        return text
    right = f"write 1 to {MAX_NAME_CHARACTERS} letters, digits, dots, colons, _ or -"
    fitting = re.sub(r"[^A-Za-z0-9._:-]+", "-", text).strip("-.") if len(text) <= MAX_NAME_CHARACTERS else ""
    raise WrongValueError(f"{quote(text)} can't be a name", f"{right}, as {fitting}" if fitting else right)


def read_lease(text: str) -> str:
    """The name of a Lease. Raises WrongValueError."""
    if _LEASE.fullmatch(text) and len(text) <= MAX_LEASE_CHARACTERS:
        return text
    right = f"write 1 to {MAX_LEASE_CHARACTERS} lower-case letters, digits, - or ."
    fitting = re.sub(r"[^a-z0-9.-]+", "-", text.lower()).strip("-.") if len(text) <= MAX_LEASE_CHARACTERS else ""
    raise WrongValueError(
        f"{quote(text)} can't be the name of a lease", f"{right}, as {fitting}" if _LEASE.fullmatch(fitting) else right
    )


def read_pattern(text: str) -> re.Pattern[str]:
    """A regular expression that is searched in a command line. Raises WrongValueError."""
    if not text:
        raise WrongValueError("an empty pattern matches every process", "leave it out, or write a part of the command")
    if len(text) > MAX_PATTERN_CHARACTERS:
        right = f"write at most {MAX_PATTERN_CHARACTERS}, or several rules of the same name"
        raise WrongValueError(f"the pattern has {len(text)} characters", right)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a later Python may read otherwise
            return re.compile(text)
    except re.error as error:
        at = f" at character {error.pos + 1}" if error.pos is not None else ""
        raise WrongValueError(
            f"{quote(text)} is not a regular expression: {error.msg}{at}", _regex_help(text)
        ) from None
    except (OverflowError, RecursionError):
        raise WrongValueError(f"{quote(text)} is too much for a regular expression", "simplify it") from None


def read_url(text: str) -> str:
    """An HTTP address in full. Raises WrongValueError."""
    right = "write for example http://127.0.0.1:8080/hook"
    if len(text) > MAX_URL_CHARACTERS:
        raise WrongValueError(f"the URL has {len(text)} characters", f"write at most {MAX_URL_CHARACTERS}")
    if "@" in text.partition("//")[2].partition("/")[0]:  # not quoted: it may be a password
        raise WrongValueError("a user or a password in a URL is not sent", "put a secret into the path or the query")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise WrongValueError(f"{quote(text)} is not a URL", right) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise WrongValueError(f"{quote(text)} is not an HTTP address", right)
    if not re.fullmatch(r"[!-~]+", text) or parts.fragment:
        raise WrongValueError(
            f"{quote(text)} can't be sent as it is", "write it in ASCII, as %20 for a space, without #"
        )
    return text


def read_pid(text: str) -> int:
    """A process id. Raises WrongValueError."""
    if re.fullmatch("[0-9]{1,7}", text) and 0 < int(text) <= MAX_PID:
        return int(text)
    raise WrongValueError(f"{quote(text)} is not a pid", f"write a number from 1 to {MAX_PID}")


def read_pid_or_pattern(text: str) -> int | re.Pattern[str]:
    """A pid, where there are only digits, else a pattern. Raises WrongValueError."""
    return read_pid(text) if re.fullmatch("[0-9]+", text) else read_pattern(text)


def read_switch(text: str) -> bool:
    """``true`` or ``false``, or YAML's other words for them. Raises WrongValueError."""
    value = _SWITCH.get(text.lower())
    if value is None:
        raise WrongValueError(f"{quote(text)} is neither true nor false", "write true or false")
    return value


def _ip_address(text: str, version: type[ipaddress.IPv4Address | ipaddress.IPv6Address]) -> str:
    try:
        return str(version(text))
    except ipaddress.AddressValueError:
        right = "write for example 127.0.0.1:9797 or [::1]:9797"
        raise WrongValueError(f"{quote(text)} is not an IP address", right) from None


def _bytes(path: str) -> bytes:
    """As the kernel gets it; variables may hold any bytes, which Python shows as lone surrogates."""
    return path.encode(errors="surrogatepass")


def _regex_help(text: str) -> str:
    return r"write .* for anything and \. for a dot, as 'server\.js'" if text.startswith("*") else ""
