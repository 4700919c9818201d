"""A small web application: says which version of it answers, and from which pod."""

import socket
from pathlib import Path

from flask import Flask, jsonify

VERSION = "1"
GREETING = "Hello from the shop"

app = Flask(__name__)


def commit():
    """The commit this was built from: the Dockerfile copies Git's HEAD, which in a build is a commit's hash."""
    head = Path(__file__).with_name("HEAD")
    text = head.read_text().strip() if head.exists() else ""
    return text if text and not text.startswith("ref:") else "unknown"


COMMIT = commit()


@app.get("/")
def index():
    # A pod is named <rollout>-<revision>-..., so this also tells blue from green.
    return jsonify(greeting=GREETING, version=VERSION, commit=COMMIT, pod=socket.gethostname())


@app.get("/health")
def health():
    return jsonify(status="ok", version=VERSION)
