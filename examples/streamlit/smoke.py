"""Runs the page once, as a session would, in the image as it was built. Exits with 1 if it raises.

Streamlit's health check says only that its server listens: a page that raises on every visit is healthy to it.
"""

import sys
from pathlib import Path

from streamlit.testing.v1 import AppTest


def main():
    page = AppTest.from_file(str(Path(__file__).with_name("app.py")), default_timeout=60).run()
    for exception in page.exception:
        print(f"the page raises {exception.message}", file=sys.stderr)
    print(f"the page has {len(page.main)} elements")
    return 1 if page.exception or not page.title else 0


if __name__ == "__main__":
    sys.exit(main())
