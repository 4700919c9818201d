"""The orders of a shop: says which version of it answers, and remembers what you did in this session."""

import socket
from pathlib import Path

import streamlit as st

from orders import ORDERS, countries, total

VERSION = "1"


def commit():
    """The commit this was built from: the Dockerfile copies Git's HEAD, which in a build is a commit's hash."""
    head = Path(__file__).with_name("HEAD")
    text = head.read_text().strip() if head.exists() else ""
    return text if text and not text.startswith("ref:") else "unknown"


st.set_page_config(page_title="Orders of the shop")
st.title("Orders of the shop")

# What must outlive a session stands in the address: a switch ends every session sooner or later.
choices = ["all", *countries(ORDERS)]
asked = st.query_params.get("country", "all")
chosen = st.selectbox("Country", choices, index=choices.index(asked) if asked in choices else 0)
st.query_params["country"] = chosen

orders = [order for order in ORDERS if chosen in ("all", order.country)]
st.metric("Total", f"{total(orders)} EUR")
st.table([{"country": order.country, "EUR": order.amount} for order in orders])

# What may be forgotten stands in the session, which lives in the memory of one pod.
st.session_state.setdefault("seen", 0)
if st.button("Seen"):
    st.session_state.seen += 1
st.write(f"Seen {st.session_state.seen} times in this session.")

# A pod is named <rollout>-<revision>-..., so this also tells blue from green.
st.caption(f"version {VERSION}, commit {commit()}, pod {socket.gethostname()}")
