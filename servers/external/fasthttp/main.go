// The contract served by fasthttp, which has no router: paths are matched by hand.
package main

import (
	"contract"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

var store = contract.NewStore()

func main() {
	listener := contract.Listen()
	stop := contract.Stopped()
	server := &fasthttp.Server{Handler: handle, IdleTimeout: contract.HeadLimit}
	go func() {
		if err := server.Serve(listener); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
	}()
	<-stop
	done := make(chan struct{})
	go func() {
		defer close(done)
		// It waits for idle connections too, so there is a limit.
		_ = server.Shutdown()
	}()
	select {
	case <-done:
	case <-time.After(contract.Grace):
	}
}

func handle(ctx *fasthttp.RequestCtx) {
	// Not Path(), which makes /ping of //ping.
	path := string(ctx.URI().PathOriginal())
	switch path {
	case "/ping":
		only(ctx, "GET", ping)
	case "/api/v1/users":
		only(ctx, "GET", users)
	case "/api/v1/orders":
		if ctx.IsPost() {
			placeOrder(ctx)
			return
		}
		only(ctx, "GET, POST", orders)
	case "/api/v1/wait":
		only(ctx, "GET", wait)
	case "/api/v1/download":
		only(ctx, "GET", download)
	case "/api/v1/upload":
		if ctx.IsPost() {
			upload(ctx)
			return
		}
		ctx.Response.Header.Set("Allow", "POST")
		fail(ctx, contract.MethodNotAllowed)
	default:
		if id, ok := lastSegment(path, "/api/v1/users/"); ok {
			only(ctx, "GET", func(ctx *fasthttp.RequestCtx) { user(ctx, id) })
		} else if id, ok := lastSegment(path, "/api/v1/orders/"); ok {
			only(ctx, "GET", func(ctx *fasthttp.RequestCtx) { order(ctx, id) })
		} else {
			fail(ctx, contract.NotFound)
		}
	}
}

func lastSegment(path, before string) (string, bool) {
	if !strings.HasPrefix(path, before) {
		return "", false
	}
	segment := path[len(before):]
	return segment, segment != "" && !strings.Contains(segment, "/")
}

// Calls the handler if the method is GET.
func only(ctx *fasthttp.RequestCtx, allow string, handler fasthttp.RequestHandler) {
	if !ctx.IsGet() {
		ctx.Response.Header.Set("Allow", allow)
		fail(ctx, contract.MethodNotAllowed)
		return
	}
	handler(ctx)
}

func query(ctx *fasthttp.RequestCtx) func(name string) (string, bool) {
	args := ctx.QueryArgs()
	return func(name string) (string, bool) {
		return string(args.Peek(name)), args.Has(name)
	}
}

func fail(ctx *fasthttp.RequestCtx, err error) {
	failed := contract.AsError(err)
	writeJSON(ctx, failed.Status, contract.ErrorBody{Error: failed})
}

func respond(ctx *fasthttp.RequestCtx, status int, value any, err error) {
	if err != nil {
		fail(ctx, err)
		return
	}
	writeJSON(ctx, status, value)
}

func writeJSON(ctx *fasthttp.RequestCtx, status int, value any) {
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/json")
	// It writes to a buffer, which can't fail.
	_ = json.NewEncoder(ctx).Encode(value)
}

func ping(ctx *fasthttp.RequestCtx) {
	writeJSON(ctx, http.StatusOK, contract.Ping{Status: "ok"})
}

func users(ctx *fasthttp.RequestCtx) {
	page, err := store.Users(query(ctx))
	respond(ctx, http.StatusOK, page, err)
}

func user(ctx *fasthttp.RequestCtx, id string) {
	user, err := store.User(id)
	respond(ctx, http.StatusOK, user, err)
}

// fasthttp has read the body; its own limit, of 4 MB, answers before the route is known.
func placeOrder(ctx *fasthttp.RequestCtx) {
	if len(ctx.PostBody()) > contract.MaxBody {
		fail(ctx, contract.PayloadTooLarge)
		return
	}
	if !contract.IsJSON(string(ctx.Request.Header.ContentType())) {
		fail(ctx, contract.UnsupportedMediaType)
		return
	}
	order, err := store.Place(ctx.PostBody())
	respond(ctx, http.StatusCreated, order, err)
}

func orders(ctx *fasthttp.RequestCtx) {
	page, err := store.Orders(query(ctx))
	respond(ctx, http.StatusOK, page, err)
}

func order(ctx *fasthttp.RequestCtx, id string) {
	order, err := store.Order(id)
	respond(ctx, http.StatusOK, order, err)
}

func wait(ctx *fasthttp.RequestCtx) {
	waited, err := contract.Wait(query(ctx))
	respond(ctx, http.StatusOK, waited, err)
}

func download(ctx *fasthttp.RequestCtx) {
	page, err := store.Download(query(ctx))
	respond(ctx, http.StatusOK, page, err)
}

func upload(ctx *fasthttp.RequestCtx) {
	if len(ctx.PostBody()) > contract.MaxUpload {
		fail(ctx, contract.PayloadTooLarge)
		return
	}
	writeJSON(ctx, http.StatusOK, contract.Upload(ctx.PostBody()))
}
