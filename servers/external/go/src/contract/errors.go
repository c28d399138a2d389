package contract

import (
	"errors"
	"net/http"
)

// Error is an error that the contract has.
type Error struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// ErrorBody is the body of every error.
type ErrorBody struct {
	Error *Error `json:"error"`
}

func (e *Error) Error() string {
	return e.Message
}

// Errors that have no cause to tell.
var (
	NotFound             = &Error{http.StatusNotFound, "not_found", "there is nothing here"}
	MethodNotAllowed     = &Error{http.StatusMethodNotAllowed, "method_not_allowed", "this route takes the methods in Allow"}
	PayloadTooLarge      = &Error{http.StatusRequestEntityTooLarge, "payload_too_large", "the body is longer than this route takes"}
	UnsupportedMediaType = &Error{http.StatusUnsupportedMediaType, "unsupported_media_type", "send Content-Type: application/json"}
	outOfStock           = &Error{http.StatusConflict, "out_of_stock", "fewer units are left than asked for"}
)

func invalidParameter(why string) error {
	return &Error{http.StatusBadRequest, "invalid_parameter", why}
}

func malformedJSON(why string) error {
	return &Error{http.StatusBadRequest, "malformed_json", why}
}

func invalidOrder(why string) error {
	return &Error{http.StatusUnprocessableEntity, "invalid_order", why}
}

// AsError returns the contract's error for any error. One that it doesn't have is a failure of the server.
func AsError(err error) *Error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	return &Error{http.StatusInternalServerError, "internal", err.Error()}
}
