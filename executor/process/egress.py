"""Block networks for this container: `python -m executor.process.egress 169.254.0.0/16 ...`.

A short-lived container adds unreachable routes before an agent runs. It shares the worker's network and holds a
capability that the worker lacks. The container's own network stays reachable: its route is more specific.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import sys

_HEADER = struct.Struct("=IHHII")
_ROUTE = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_ERROR = struct.Struct("=i")
_NEW_ROUTE, _IS_ERROR = 24, 2
_REQUEST_ACK_CREATE_REPLACE = 0x1 | 0x4 | 0x400 | 0x100
_MAIN_TABLE, _BY_ADMINISTRATOR, _UNREACHABLE = 254, 4, 7
_DESTINATION = 1

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def block(networks: list[Network]) -> None:
    """Add an unreachable route for each network. Raises OSError when the capability is missing or the kernel
    refuses."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.bind((0, 0))
        for number, network in enumerate(networks, start=1):
            kernel.send(_request(network, number))
            _check(kernel.recv(65536), network)


def _request(network: Network, number: int) -> bytes:
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    address = network.network_address.packed
    attribute = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(address), _DESTINATION) + address
    route = _ROUTE.pack(family, network.prefixlen, 0, 0, _MAIN_TABLE, _BY_ADMINISTRATOR, 0, _UNREACHABLE, 0)
    size = _HEADER.size + len(route) + len(attribute)
    return _HEADER.pack(size, _NEW_ROUTE, _REQUEST_ACK_CREATE_REPLACE, number, 0) + route + attribute


def _check(answer: bytes, network: Network) -> None:
    kind = _HEADER.unpack_from(answer)[1]
    code = _ERROR.unpack_from(answer, _HEADER.size)[0] if kind == _IS_ERROR else -1
    if code != 0:
        raise OSError(-code, os.strerror(-code), str(network))


def main(arguments: list[str]) -> int:
    """Block the networks named as arguments. Return 1 and print the error when that fails."""
    try:
        block([ipaddress.ip_network(network) for network in arguments])
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
