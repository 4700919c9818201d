"""What the dashboard shows, apart from how."""

from collections import namedtuple

Order = namedtuple("Order", "country amount")

ORDERS = [Order("Chile", 120), Order("Denmark", 80), Order("Chile", 45), Order("Ghana", 210)]


def countries(orders):
    return sorted({order.country for order in orders})


def total(orders):
    return sum(order.amount for order in orders)
