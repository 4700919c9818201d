"""A web application for tests: says which pod and which text it is, and ends without dropping a request."""

import http.server
import os
import signal
import socketserver
import sys
import threading
import time

TEXT = os.environ.get("TEXT", "page")
POD = os.environ.get("POD_NAME", "nobody")
# As long as an answer takes, a request can be lost by whoever ends this program too early.
DELAY = int(os.environ.get("DELAY_MS", "0")) / 1000
HEALTHY = os.environ.get("HEALTHY", "true") == "true"
leaving = threading.Event()


class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        if self.path == "/":
            time.sleep(DELAY)
        status = 500 if self.path == "/healthz" and not HEALTHY else 200
        body = f"{TEXT}\n".encode()
        head = [f"HTTP/1.1 {status} OK", f"Content-Length: {len(body)}", f"X-Served-By: {POD}"]
        if leaving.is_set():
            # Whoever kept this connection learns in time that it is about to end.
            head.append("Connection: close")
            self.close_connection = True
        self.wfile.write("\r\n".join(head + ["", ""]).encode() + body)

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256


def leave(*_):
    if os.environ.get("LEAVE") == "at once":
        os._exit(0)
    leaving.set()
    threading.Thread(target=lambda: (time.sleep(3), os._exit(0)), daemon=True).start()


signal.signal(signal.SIGTERM, leave)
# A process that fails at its start, for what crash loops look like.
if os.environ.get("CRASH"):
    sys.exit(os.environ["CRASH"])
Server(("", int(os.environ.get("PORT", "8080"))), Page).serve_forever()
