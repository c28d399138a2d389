package contract

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
)

// Serve serves handler with net/http until a signal asks it to stop.
func Serve(handler http.Handler) {
	listener := Listen()
	stop := Stopped()
	server := &http.Server{Handler: handler, ReadHeaderTimeout: HeadLimit, IdleTimeout: HeadLimit}
	go func() {
		if err := server.Serve(listener); err != http.ErrServerClosed {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
	}()
	<-stop
	ctx, cancel := context.WithTimeout(context.Background(), Grace)
	defer cancel()
	// It waits for half-sent requests; those still open after the limit are cut off by the exit.
	_ = server.Shutdown(ctx)
}

// ReadBody reads the body of an order.
//
// The readers of JSON that come with the frameworks stop after the first value, so they accept a body that is
// followed by something else.
func ReadBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if !IsJSON(r.Header.Get("Content-Type")) {
		return nil, UnsupportedMediaType
	}
	return readAll(w, r, MaxBody)
}

// ReadUpload reads the body of an upload.
func ReadUpload(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	return readAll(w, r, MaxUpload)
}

func readAll(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, PayloadTooLarge
	}
	if err != nil {
		return nil, malformedJSON(err.Error())
	}
	return body, nil
}

// WriteJSON writes a response.
func WriteJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// Fails only if the client is gone.
	_ = json.NewEncoder(w).Encode(value)
}

// Respond writes a response with this status, or the error.
func Respond(w http.ResponseWriter, status int, value any, err error) {
	if err != nil {
		failed := AsError(err)
		WriteJSON(w, failed.Status, ErrorBody{failed})
		return
	}
	WriteJSON(w, status, value)
}
