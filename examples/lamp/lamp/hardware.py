"""The hardware service: keeps the lamp's state and drives the light.

It listens on a socket in the file system. Whoever may open that sends one line of JSON, the values to change
(`{}` to only ask), and gets one line back: the state, or `{"error": …}`.
"""

import json
import os
import signal
import socketserver
import sys
from contextlib import suppress
from dataclasses import asdict

import pwm
import state
from version import VERSION

SOCKET = "/run/lamp/lamp.sock"
LONGEST_LINE = 1024


class Request(socketserver.StreamRequestHandler):
    """One line in, one line out."""

    timeout = 2  # seconds; one request at a time is served

    def handle(self) -> None:
        try:
            line = self.rfile.readline(LONGEST_LINE)
            answer = self.server.set(json.loads(line))
        except ValueError as error:
            answer = {"error": str(error)}
        except OSError as error:
            print(f"could not serve a request: {error}", file=sys.stderr)
            return
        with suppress(OSError):
            self.wfile.write(json.dumps(answer).encode() + b"\n")


class Hardware(socketserver.UnixStreamServer):
    """The lamp: its state and its light."""

    def __init__(self, light: pwm.Light) -> None:
        with suppress(FileNotFoundError):
            os.unlink(SOCKET)
        super().__init__(SOCKET, Request)
        os.chmod(SOCKET, 0o660)
        self._light = light
        self._state = state.load()
        light.show(self._state)

    def set(self, wishes: dict) -> dict:
        """Changes the state, and only then says so."""
        wished = self._state.changed(wishes)
        if wished != self._state:
            state.save(wished)
            self._state = wished
            self._light.show(wished)
        return {**asdict(self._state), "light": self._light.name, "version": VERSION}


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Hardware(pwm.find()) as hardware:
        print(f"lamp {VERSION} listens on {SOCKET}", flush=True)
        hardware.serve_forever()


if __name__ == "__main__":
    main()
