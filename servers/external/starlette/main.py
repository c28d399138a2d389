"""The contract served by Starlette on uvicorn, in one process."""

import argparse
import asyncio
import ipaddress
import signal
import socket
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from contract import MAX_BODY, MAX_UPLOAD, ApiError, Store, is_json, parse_wait

GRACE_S = 3
HEAD_LIMIT_S = 75

store = Store()


async def ping(request: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


async def users(request: Request) -> JSONResponse:
    return JSONResponse(store.users(request.query_params))


async def user(request: Request) -> JSONResponse:
    return JSONResponse(store.user(request.path_params["id"]))


class Orders(HTTPEndpoint):
    async def get(self, request: Request) -> JSONResponse:
        return JSONResponse(store.orders(request.query_params))

    async def post(self, request: Request) -> JSONResponse:
        if not is_json(request.headers.get("content-type", "")):
            raise ApiError(415, "unsupported_media_type", "send Content-Type: application/json")
        return JSONResponse(store.place(await read(request, MAX_BODY)), status_code=201)


async def order(request: Request) -> JSONResponse:
    return JSONResponse(store.order(request.path_params["id"]))


async def wait(request: Request) -> JSONResponse:
    ms = parse_wait(request.query_params)
    await asyncio.sleep(ms / 1000)
    return JSONResponse({"ms": ms})


async def download(request: Request) -> JSONResponse:
    return JSONResponse(store.download(request.query_params))


async def upload(request: Request) -> JSONResponse:
    body = await read(request, MAX_UPLOAD)
    return JSONResponse({"bytes": len(body), "sum": sum(body)})


async def read(request: Request, most: int) -> bytes:
    """Reads the body up to its limit, which Starlette doesn't have."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise ApiError(413, "payload_too_large", f"the body has more than {most} bytes")
    return bytes(body)


async def failed(request: Request, error: ApiError) -> JSONResponse:
    body = {"error": {"code": error.code, "message": error.message}}
    return JSONResponse(body, status_code=error.status)


async def http_failed(request: Request, error: HTTPException) -> JSONResponse:
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "internal")
    body = {"error": {"code": code, "message": error.detail}}
    return JSONResponse(body, status_code=error.status_code, headers=error.headers)


app = Starlette(
    routes=[
        Route("/ping", ping),
        Route("/api/v1/users", users),
        Route("/api/v1/users/{id}", user),
        Route("/api/v1/orders", Orders),
        Route("/api/v1/orders/{id}", order),
        Route("/api/v1/wait", wait),
        Route("/api/v1/download", download),
        Route("/api/v1/upload", upload, methods=["POST"]),
    ],
    exception_handlers={ApiError: failed, HTTPException: http_failed},
)
app.router.redirect_slashes = False


def address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    try:
        if not 0 <= int(port) <= 65535:
            raise ValueError
        return str(ipaddress.ip_address(host.strip("[]"))), int(port)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: expected IP:PORT") from None


def count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text}: expected a number from 1")
    return int(text)


class Parser(argparse.ArgumentParser):
    """Names the fault on the first line, without the usage before it."""

    def error(self, message: str) -> None:
        self.exit(2, f"error: {message}\n")


def main() -> None:
    parser = Parser()
    parser.add_argument("--addr", type=address, default=("127.0.0.1", 8080))
    parser.add_argument("--workers", type=count, default=1)
    flags = parser.parse_args()
    listener = socket.socket(socket.AF_INET6 if ":" in flags.addr[0] else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(flags.addr)
    except OSError as error:
        sys.exit(f"error: cannot listen on {flags.addr[0]}:{flags.addr[1]}: {error.strerror}")
    # After a graceful stop uvicorn raises the signal again, which would end the process by it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    config = uvicorn.Config(
        app,
        log_level="critical",
        access_log=False,
        timeout_keep_alive=HEAD_LIMIT_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
