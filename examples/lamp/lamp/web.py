"""The user interface: a small web page, and what it asks for.

GET  /        the page
GET  /state   the lamp's state as JSON
POST /state   JSON with the values to change; gives the state
GET  /scenes  the scenes as JSON
"""

import json
import signal
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import client
import scenes
import settings
from version import VERSION

PAGE = Path(__file__).resolve().with_name("page.html").read_bytes()
SCENES = scenes.load()
LONGEST_BODY = 1024


class Handler(BaseHTTPRequestHandler):
    """One request of a browser."""

    timeout = 10
    server_version = f"lamp/{VERSION}"

    def do_GET(self) -> None:
        match self.path:
            case "/":
                self._answer(HTTPStatus.OK, "text/html; charset=utf-8", PAGE)
            case "/state":
                self._ask({})
            case "/scenes":
                self._answer_json(HTTPStatus.OK, SCENES)
            case _:
                self._answer_json(HTTPStatus.NOT_FOUND, {"error": "there is only / and /state and /scenes"})

    def do_POST(self) -> None:
        # A page of another site cannot send this type without asking first, and nobody here would answer it.
        if self.path != "/state" or self.headers.get_content_type() != "application/json":
            self._answer_json(HTTPStatus.BAD_REQUEST, {"error": "send JSON to /state"})
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LONGEST_BODY:
            self._answer_json(HTTPStatus.BAD_REQUEST, {"error": f"send at most {LONGEST_BODY} bytes"})
            return
        try:
            wishes = json.loads(self.rfile.read(int(length)))
        except ValueError:
            self._answer_json(HTTPStatus.BAD_REQUEST, {"error": "this is not JSON"})
            return
        self._ask(wishes)

    def _ask(self, wishes: dict) -> None:
        try:
            self._answer_json(HTTPStatus.OK, client.ask(wishes))
        except client.LampError as error:
            self._answer_json(HTTPStatus.SERVICE_UNAVAILABLE, {"error": str(error)})

    def _answer_json(self, status: HTTPStatus, document: dict) -> None:
        self._answer(status, "application/json", json.dumps(document).encode())

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, *_: object) -> None:
        """The page asks every second: only errors are worth a line in the journal."""


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    web = settings.load()["web"]
    with ThreadingHTTPServer((web["address"], web.getint("port")), Handler) as server:
        print(f"lamp {VERSION} has its page at http://{web['address']}:{web['port']}/", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
