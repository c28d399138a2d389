// The contract (servers/contract) on node:http. Routes that answer 501 are not written yet.
import http from "node:http";
import { isIPv4, isIPv6 } from "node:net";
import { parseArgs } from "node:util";

// How long open connections may hold up the exit, in ms.
const GRACE = 3_000;
// A request head may take this long to arrive, and a connection may be idle this long, in ms.
const HEAD_LIMIT = 75_000;

const { host, port } = readFlags();
const server = http.createServer({ keepAliveTimeout: HEAD_LIMIT, headersTimeout: HEAD_LIMIT }, app);
server.on("error", (error) => {
  console.error(`cannot listen on ${host}:${port}: ${error.message}`);
  process.exit(1);
});
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.once(signal, () => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
    setTimeout(() => process.exit(0), GRACE);
  });
}
server.listen(port, host);

// Node runs JavaScript on one thread and the orders are in its memory, so one process serves whatever the
// number of workers. If your framework can use more, start them here.
function readFlags() {
  try {
    const { values } = parseArgs({
      options: {
        addr: { type: "string", default: "127.0.0.1:8080" },
        workers: { type: "string", default: "1" },
      },
    });
    const [, host, port] = /^\[?(.*?)\]?:(\d{1,5})$/.exec(values.addr) ?? [];
    if (!(isIPv4(host) || isIPv6(host)) || port > 65_535) {
      throw new Error(`--addr ${values.addr}: expected an address and a port`);
    }
    if (!/^[1-9]\d*$/.test(values.workers)) {
      throw new Error(`--workers ${values.workers}: expected 1 or more`);
    }
    return { host, port: Number(port) };
  } catch (error) {
    console.error(error.message);
    process.exit(2);
  }
}

// One match on the path. Use your framework's router instead.
function app(request, response) {
  const [path] = request.url.split("?", 1);
  const [, parent, id] = /^(.*)\/([^/]+)$/.exec(path) ?? [];
  const post = request.method === "POST";
  if (path === "/ping") {
    if (allows(request, response, "GET")) send(response, 200, { status: "ok" });
  } else if (parent === "/api/v1/users" && id) {
    if (allows(request, response, "GET")) todo(response, "GET /api/v1/users/{id}");
  } else if (path === "/api/v1/users") {
    if (allows(request, response, "GET")) todo(response, "GET /api/v1/users");
  } else if (path === "/api/v1/orders" && post) {
    todo(response, "POST /api/v1/orders");
  } else if (parent === "/api/v1/orders" && id) {
    if (allows(request, response, "GET")) todo(response, "GET /api/v1/orders/{id}");
  } else if (path === "/api/v1/orders") {
    if (allows(request, response, "GET, POST")) todo(response, "GET /api/v1/orders");
  } else if (path === "/api/v1/download") {
    if (allows(request, response, "GET")) todo(response, "GET /api/v1/download");
  } else if (path === "/api/v1/upload") {
    if (post) todo(response, "POST /api/v1/upload");
    else noMethod(response, "POST");
  } else if (path === "/api/v1/wait") {
    if (allows(request, response, "GET")) todo(response, "GET /api/v1/wait");
  } else {
    fail(response, 404, "not_found", "there is nothing here");
  }
}

// Whether the route has the request's method, here GET; otherwise answers 405.
function allows(request, response, methods) {
  if (request.method === "GET" || request.method === "HEAD") return true;
  noMethod(response, methods);
  return false;
}

function noMethod(response, methods) {
  response.setHeader("Allow", methods);
  fail(response, 405, "method_not_allowed", "this route takes the methods in Allow");
}

// The response of a route that is not written yet. Remove it with the last of them.
function todo(response, route) {
  fail(response, 501, "not_implemented", `${route} is not written yet`);
}

function fail(response, status, code, message) {
  send(response, status, { error: { code, message } });
}

function send(response, status, value) {
  const body = JSON.stringify(value);
  response.setHeader("Content-Type", "application/json");
  response.setHeader("Content-Length", Buffer.byteLength(body));
  response.writeHead(status).end(body);
}
