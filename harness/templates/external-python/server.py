"""The contract (servers/contract) on http.server. Routes that answer 501 are not written yet."""

import argparse
import contextlib
import ipaddress
import json
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GRACE = 3  # seconds that unfinished responses may hold up the exit
HEAD_LIMIT = 75  # seconds that a connection may be idle or take to send

USERS, ORDERS = "/api/v1/users", "/api/v1/orders"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = HEAD_LIMIT
    # So that head and body are sent together.
    wbufsize = -1

    def __getattr__(self, name):
        # http.server calls do_GET, do_POST and so on.
        if name.startswith("do_"):
            return self.respond
        raise AttributeError(name)

    def respond(self):
        # Read even if the route has no use for it: the next request follows it.
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.server.response():
            self.route()
            self.wfile.flush()

    def route(self):
        """One match on path and method. Use your framework's router instead."""
        # Not self.path, which makes /ping of //ping.
        path = self.requestline.split(" ")[1].split("?", 1)[0]
        parent, _, last = path.rpartition("/")
        if path == "/ping":
            self.allows("GET") and self.send(200, {"status": "ok"})
        elif parent == USERS and last:
            self.allows("GET") and self.todo("GET /api/v1/users/{id}")
        elif path == USERS:
            self.allows("GET") and self.todo("GET /api/v1/users")
        elif path == ORDERS and self.command == "POST":
            self.todo("POST /api/v1/orders")
        elif parent == ORDERS and last:
            self.allows("GET") and self.todo("GET /api/v1/orders/{id}")
        elif path == ORDERS:
            self.allows("GET, POST") and self.todo("GET /api/v1/orders")
        elif path == "/api/v1/download":
            self.allows("GET") and self.todo("GET /api/v1/download")
        elif path == "/api/v1/upload" and self.command == "POST":
            self.todo("POST /api/v1/upload")
        elif path == "/api/v1/upload":
            self.no_method("POST")
        elif path == "/api/v1/wait":
            self.allows("GET") and self.todo("GET /api/v1/wait")
        else:
            self.fail(404, "not_found", "there is nothing here")

    def allows(self, methods):
        """Whether the route has the request's method, here GET; otherwise answers 405."""
        if self.command in ("GET", "HEAD"):
            return True
        self.no_method(methods)
        return False

    def no_method(self, methods):
        message = "this route takes the methods in Allow"
        self.fail(405, "method_not_allowed", message, {"Allow": methods})

    def todo(self, route):
        """The response of a route that is not written yet. Remove it with the last of them."""
        self.fail(501, "not_implemented", f"{route} is not written yet")

    def fail(self, status, code, message, headers={}):
        self.send(status, {"error": {"code": code, "message": message}}, headers)

    def send(self, status, value, headers={}):
        body = json.dumps(value, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, text in headers.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        """Nothing is printed for a request."""


class Server(ThreadingHTTPServer):
    """A thread for each connection. Python runs one of them at a time, so the number of workers is not used. If
    your framework can use it, pass it on."""

    request_queue_size = 1024

    def __init__(self, *arguments):
        self.changed = threading.Condition()
        self.responding = 0
        super().__init__(*arguments)

    def handle_error(self, *_):
        """A client that is gone: nobody is left to be told."""

    @contextlib.contextmanager
    def response(self):
        """Counts the responses that are not finished yet."""
        self.count(1)
        try:
            yield
        finally:
            self.count(-1)

    def count(self, change):
        with self.changed:
            self.responding += change
            self.changed.notify()


def read_flags():
    def addr(text):
        host, _, port = text.rpartition(":")
        ipaddress.ip_address(host.strip("[]"))
        if not 0 <= int(port) <= 65_535:
            raise ValueError
        return host.strip("[]"), int(port)

    def workers(text):
        if int(text) < 1:
            raise ValueError
        return int(text)

    class Parser(argparse.ArgumentParser):
        def error(self, message):
            self.exit(2, f"{message}\n")

    parser = Parser()
    parser.add_argument("--addr", type=addr, default=("127.0.0.1", 8080))
    parser.add_argument("--workers", type=workers, default=1)
    return parser.parse_args()


def main():
    flags = read_flags()
    # Taken by sigwait below. Threads inherit this.
    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    try:
        server = Server(flags.addr, Handler)
    except OSError as error:
        host, port = flags.addr
        sys.exit(f"cannot listen on {host}:{port}: {error}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    signal.sigwait(stop)
    server.shutdown()
    with server.changed:
        server.changed.wait_for(lambda: server.responding == 0, GRACE)


if __name__ == "__main__":
    main()
