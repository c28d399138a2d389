// The contract served by chi, a router for net/http.
package main

import (
	"contract"
	"net/http"
	"strings"

	"github.com/go-chi/chi"
)

var store = contract.NewStore()

func main() {
	r := chi.NewRouter()
	r.NotFound(notFound)
	r.MethodNotAllowed(methodNotAllowed(r))
	r.Get("/ping", ping)
	r.Route("/api/v1", func(r chi.Router) {
		r.Get("/users", users)
		r.Get("/users/{id}", user)
		r.Post("/orders", placeOrder)
		r.Get("/orders", orders)
		r.Get("/orders/{id}", order)
		r.Get("/wait", wait)
		r.Get("/download", download)
		r.Post("/upload", upload)
	})
	contract.Serve(r)
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	contract.Respond(w, 0, nil, contract.NotFound)
}

// This version of chi doesn't set Allow, and comes here with every method that it doesn't know, even if there is
// no such route.
func methodNotAllowed(routes chi.Routes) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var allowed []string
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if routes.Match(chi.NewRouteContext(), method, r.URL.Path) {
				allowed = append(allowed, method)
			}
		}
		if len(allowed) == 0 {
			notFound(w, r)
			return
		}
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		contract.Respond(w, 0, nil, contract.MethodNotAllowed)
	}
}

func ping(w http.ResponseWriter, _ *http.Request) {
	contract.WriteJSON(w, http.StatusOK, contract.Ping{Status: "ok"})
}

func users(w http.ResponseWriter, r *http.Request) {
	page, err := store.Users(contract.Query(r.URL.Query()))
	contract.Respond(w, http.StatusOK, page, err)
}

func user(w http.ResponseWriter, r *http.Request) {
	user, err := store.User(chi.URLParam(r, "id"))
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
	order, err := store.Order(chi.URLParam(r, "id"))
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
