// The contract served by Go's own net/http.
package main

import (
	"contract"
	"net/http"
	"strings"
)

var store = contract.NewStore()

func main() {
	mux := http.NewServeMux()
	mux.Handle("/ping", methods{"GET": ping})
	mux.Handle("/api/v1/users", methods{"GET": users})
	mux.Handle("/api/v1/users/", withID(methods{"GET": user}))
	mux.Handle("/api/v1/orders", methods{"GET": orders, "POST": placeOrder})
	mux.Handle("/api/v1/orders/", withID(methods{"GET": order}))
	mux.Handle("/api/v1/wait", methods{"GET": wait})
	mux.Handle("/api/v1/download", methods{"GET": download})
	mux.Handle("/api/v1/upload", methods{"POST": upload})
	mux.HandleFunc("/", notFound)
	contract.Serve(exactPaths(mux))
}

// A ServeMux redirects a path such as //ping to a clean one, but the contract has no redirects.
func exactPaths(mux *http.ServeMux) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "//") || strings.Contains(r.URL.Path, "/.") {
			notFound(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}
}

// The handlers of a route. The ServeMux of Go 1.19 knows only paths.
type methods map[string]http.HandlerFunc

func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler, ok := m[r.Method]
	if !ok {
		allowed := make([]string, 0, len(m))
		for method := range m {
			allowed = append(allowed, method)
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		contract.Respond(w, 0, nil, contract.MethodNotAllowed)
		return
	}
	handler(w, r)
}

// Calls the handlers if the path ends in exactly one more segment.
func withID(m methods) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.Count(r.URL.Path, "/") != 4 || strings.HasSuffix(r.URL.Path, "/") {
			notFound(w, r)
			return
		}
		m.ServeHTTP(w, r)
	}
}

func id(r *http.Request) string {
	return r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	contract.Respond(w, 0, nil, contract.NotFound)
}

func ping(w http.ResponseWriter, _ *http.Request) {
	contract.WriteJSON(w, http.StatusOK, contract.Ping{Status: "ok"})
}

func users(w http.ResponseWriter, r *http.Request) {
	page, err := store.Users(contract.Query(r.URL.Query()))
	contract.Respond(w, http.StatusOK, page, err)
}

func user(w http.ResponseWriter, r *http.Request) {
	user, err := store.User(id(r))
	contract.Respond(w, http.StatusOK, user, err)
}

func placeOrder(w http.ResponseWriter, r *http.Request) {
	body, err := contract.ReadBody(w, r)
	if err != nil {
		contract.Respond(w, 0, nil, err)
		return
	}
	order, err := store.Place(body)
	contract.Respond(w, http.StatusCreated, order, err)
}

func orders(w http.ResponseWriter, r *http.Request) {
	page, err := store.Orders(contract.Query(r.URL.Query()))
	contract.Respond(w, http.StatusOK, page, err)
}

func order(w http.ResponseWriter, r *http.Request) {
	order, err := store.Order(id(r))
	contract.Respond(w, http.StatusOK, order, err)
}

func wait(w http.ResponseWriter, r *http.Request) {
	waited, err := contract.Wait(contract.Query(r.URL.Query()))
	contract.Respond(w, http.StatusOK, waited, err)
}

func download(w http.ResponseWriter, r *http.Request) {
	page, err := store.Download(contract.Query(r.URL.Query()))
	contract.Respond(w, http.StatusOK, page, err)
}

func upload(w http.ResponseWriter, r *http.Request) {
	body, err := contract.ReadUpload(w, r)
	if err != nil {
		contract.Respond(w, 0, nil, err)
		return
	}
	contract.WriteJSON(w, http.StatusOK, contract.Upload(body))
}
