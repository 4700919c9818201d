"""How gunicorn serves the application, and how it leaves."""

import signal
import threading

bind = "0.0.0.0:8000"
worker_class = "gthread"
workers = 2
threads = 8
# Longer than clients and load balancers keep an idle connection, so that they close it, not we as they use it.
keepalive = 75
# Its heartbeat file: /tmp may be a disk.
worker_tmp_dir = "/dev/shm"

# After SIGTERM: for so long each answer also asks its client to close the connection, and only then workers end. A
# client that has kept a connection open would otherwise send its next request into a closed one.
leave = 10
graceful_timeout = leave + 15


def post_worker_init(worker):
    def close_connections_then_exit(signum, frame):
        # How many connections gthread keeps open beyond their request: none. (Setting `keepalive` to 0 would also drop
        # those whose last answer has just promised to stay.)
        worker.max_keepalived = 0
        timer = threading.Timer(leave, worker.handle_exit, (signum, frame))
        timer.daemon = True
        timer.start()

    signal.signal(signal.SIGTERM, close_connections_then_exit)
