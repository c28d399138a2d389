// The contract (servers/contract) on net/http. Routes that answer 501 are not written yet.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// How long open connections may hold up the exit.
const grace = 3 * time.Second

// A request head may take this long to arrive, and a connection may be idle this long.
const headLimit = 75 * time.Second

func main() {
	addr := netip.MustParseAddrPort("127.0.0.1:8080")
	flag.TextVar(&addr, "addr", addr, "address and port to listen on")
	workers := runtime.NumCPU()
	flag.Func("workers", "threads that serve", func(text string) (err error) {
		workers, err = strconv.Atoi(text)
		if err == nil && workers < 1 {
			err = errors.New("expected 1 or more")
		}
		return err
	})
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	runtime.GOMAXPROCS(workers)

	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	listener, err := net.Listen("tcp", addr.String())
	if err != nil {
		fmt.Fprintf(os.Stderr, "cannot listen on %v: %v\n", addr, err)
		os.Exit(1)
	}
	server := &http.Server{
		Handler:           http.HandlerFunc(app),
		ReadHeaderTimeout: headLimit,
		IdleTimeout:       headLimit,
	}
	go server.Serve(listener)
	<-stop.Done()
	limit, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	server.Shutdown(limit)
}

// One switch on the path. Use your framework's router instead.
func app(w http.ResponseWriter, r *http.Request) {
	const users, orders = "/api/v1/users", "/api/v1/orders"
	path := r.URL.Path
	switch {
	case path == "/ping":
		if allows(w, r, "GET") {
			send(w, 200, map[string]string{"status": "ok"})
		}
	case isChild(path, users):
		if allows(w, r, "GET") {
			todo(w, "GET /api/v1/users/{id}")
		}
	case path == users:
		if allows(w, r, "GET") {
			todo(w, "GET /api/v1/users")
		}
	case path == orders && r.Method == "POST":
		todo(w, "POST /api/v1/orders")
	case isChild(path, orders):
		if allows(w, r, "GET") {
			todo(w, "GET /api/v1/orders/{id}")
		}
	case path == orders:
		if allows(w, r, "GET, POST") {
			todo(w, "GET /api/v1/orders")
		}
	case path == "/api/v1/download":
		if allows(w, r, "GET") {
			todo(w, "GET /api/v1/download")
		}
	case path == "/api/v1/upload":
		if r.Method == "POST" {
			todo(w, "POST /api/v1/upload")
		} else {
			noMethod(w, "POST")
		}
	case path == "/api/v1/wait":
		if allows(w, r, "GET") {
			todo(w, "GET /api/v1/wait")
		}
	default:
		fail(w, 404, "not_found", "there is nothing here")
	}
}

// Whether path is parent, a slash and one more part.
func isChild(path, parent string) bool {
	id := strings.TrimPrefix(path, parent+"/")
	return id != path && id != "" && !strings.Contains(id, "/")
}

// Whether the route has the request's method, here GET; otherwise answers 405.
func allows(w http.ResponseWriter, r *http.Request, methods string) bool {
	if r.Method == "GET" || r.Method == "HEAD" {
		return true
	}
	noMethod(w, methods)
	return false
}

func noMethod(w http.ResponseWriter, methods string) {
	w.Header().Set("Allow", methods)
	fail(w, 405, "method_not_allowed", "this route takes the methods in Allow")
}

// The response of a route that is not written yet. Remove it with the last of them.
func todo(w http.ResponseWriter, route string) {
	fail(w, 501, "not_implemented", route+" is not written yet")
}

func fail(w http.ResponseWriter, status int, code, message string) {
	send(w, status, map[string]any{"error": map[string]string{"code": code, "message": message}})
}

func send(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}
