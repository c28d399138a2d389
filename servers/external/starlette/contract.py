"""Data, store and validation."""

import json
import re
from collections.abc import Mapping
from typing import Any

FIRST = """Ada Alan Barbara Claude Donald Edsger Frances Grace
    Hedy John Katherine Leslie Margaret Niklaus Zoë 明""".split()
LAST = """Allen Backus Dijkstra Engelbart Hamilton Hopper Johnson Knuth
    Lamarr Lamport Liskov Lovelace Shannon Turing Wirth Łukasiewicz""".split()
STATUS = ["active"] * 6 + ["pending"] * 2 + ["archived"] * 2

USERS = 10_000
KEPT = 65_536
MAX_BODY = 16 * 1024
MAX_UPLOAD = 64 * 1024
MAX_ID = 2**53 - 1
MAX_PAGE = 1_000_000
MAX_QTY = 1_000
LIMITED = "SKU-LIMITED"
LIMITED_UNITS = 1_000
ITEM = re.compile(r"SKU-([0-9]{3}|LIMITED)")


class ApiError(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def is_json(content_type: str) -> bool:
    return content_type.split(";", 1)[0].strip().lower() == "application/json"


class Store:
    def __init__(self) -> None:
        everyone = [make_user(id) for id in range(1, USERS + 1)]
        # By status; None has all of them.
        self._users: dict[str | None, list[dict]] = {None: everyone}
        for status in STATUS:
            self._users[status] = [user for user in everyone if user["status"] == status]
        # A ring of the newest orders.
        self._orders: list[dict | None] = [None] * KEPT
        self._total = 0
        self._limited = LIMITED_UNITS

    def users(self, query: Mapping[str, str]) -> dict:
        users = self._users.get(query.get("status"))
        if users is None:
            raise invalid_parameter("status is active, pending or archived")
        return page_of(users, *parse_page(query, 20, 100))

    def download(self, query: Mapping[str, str]) -> dict:
        return page_of(self._users[None], *parse_page(query, 600, 1000))

    def user(self, text: str) -> dict:
        id = parse_id(text)
        if not 1 <= id <= USERS:
            raise not_found()
        return self._users[None][id - 1]

    def place(self, body: bytes) -> dict:
        item, qty = parse_order(body)
        if item == LIMITED:
            if self._limited < qty:
                raise ApiError(409, "out_of_stock", "fewer units are left than asked for")
            self._limited -= qty
        self._total += 1
        price = unit_price(item)
        order = {
            "id": self._total,
            "item_id": item,
            "qty": qty,
            "unit_price_cents": price,
            "total_cents": price * qty,
            "status": "created",
        }
        self._orders[self._total % KEPT] = order
        return order

    def order(self, text: str) -> dict:
        return self._kept(parse_id(text)) or raise_(not_found())

    def orders(self, query: Mapping[str, str]) -> dict:
        page, limit = parse_page(query, 20, 100)
        newest = self._total - (page - 1) * limit
        kept = (self._kept(id) for id in range(newest, max(newest - limit, 0), -1))
        return {"orders": [order for order in kept if order], "page": page, "limit": limit, "total": self._total}

    def _kept(self, id: int) -> dict | None:
        order = self._orders[id % KEPT]
        return order if order and order["id"] == id else None


def page_of(users: list[dict], page: int, limit: int) -> dict:
    start = (page - 1) * limit
    return {"users": users[start : start + limit], "page": page, "limit": limit, "total": len(users)}


def make_user(id: int) -> dict:
    return {
        "id": id,
        "name": f"{FIRST[id % 16]} {LAST[id // 16 % 16]}",
        "email": f"user{id}@example.com",
        "status": STATUS[id % 10],
        "created_at": 1_700_000_000 + 60 * id,
    }


def raise_(error: Exception) -> Any:
    raise error


def not_found() -> ApiError:
    return ApiError(404, "not_found", "there is nothing here")


def invalid_parameter(why: str) -> ApiError:
    return ApiError(400, "invalid_parameter", why)


def unit_price(item: str) -> int:
    return 4999 if item == LIMITED else 100 + 37 * int(item[4:]) % 9900


def parse_digits(text: str, least: int, most: int) -> int | None:
    # int() takes a sign, blanks, underscores and the digits of other scripts.
    if not (text.isascii() and text.isdigit() and len(text) < 1000):
        return None
    number = int(text)
    return number if least <= number <= most else None


def parse_id(text: str) -> int:
    id = parse_digits(text, 0, MAX_ID)
    if id is None:
        raise invalid_parameter("an id is digits, at most 2^53 - 1")
    return id


def parse_wait(query: Mapping[str, str]) -> int:
    return in_range(query, "ms", 15, 0, 1000)


def parse_page(query: Mapping[str, str], absent: int, most: int) -> tuple[int, int]:
    limit = in_range(query, "limit", absent, 1, most)
    return in_range(query, "page", 1, 1, MAX_PAGE), limit


def in_range(query: Mapping[str, str], name: str, absent: int, least: int, most: int) -> int:
    text = query.get(name)
    if text is None:
        return absent
    number = parse_digits(text, least, most)
    if number is None:
        raise invalid_parameter(f"{name} is a number from {least} to {most}")
    return number


def parse_order(body: bytes) -> tuple[str, int]:
    try:
        # Without these, json would take NaN, and guess an encoding.
        order = json.loads(body.decode(), parse_constant=no_constant)
    except ValueError as error:
        raise ApiError(400, "malformed_json", str(error)) from None
    if not isinstance(order, dict):
        raise invalid_order("an order is an object")
    item, qty = order.get("item_id"), order.get("qty")
    if not (isinstance(item, str) and ITEM.fullmatch(item)):
        raise invalid_order("no such item")
    # A bool is an int in Python.
    if not (type(qty) is int and 1 <= qty <= MAX_QTY):
        raise invalid_order("qty is a whole number from 1 to 1000")
    return item, qty


def no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def invalid_order(why: str) -> ApiError:
    return ApiError(422, "invalid_order", why)
