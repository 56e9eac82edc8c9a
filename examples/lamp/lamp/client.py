"""How the other services and lampctl talk to the hardware service."""

import json
import socket

from hardware import SOCKET


class LampError(Exception):
    """The lamp cannot be reached, or refuses a wish."""


def ask(wishes: dict | None = None) -> dict:
    """Sends the values to change, if any, and gives the state."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(SOCKET)
            connection.sendall(json.dumps(wishes or {}).encode() + b"\n")
            answer = json.loads(connection.makefile().readline())
    except PermissionError:
        raise LampError(f"only root and the user lamp may open {SOCKET}; try sudo") from None
    except (OSError, ValueError) as error:
        raise LampError(f"the hardware service does not answer on {SOCKET}: {error}") from error
    if "error" in answer:
        raise LampError(answer["error"])
    return answer
