// The contract served by Echo.
package main

import (
	"contract"
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo"
	"github.com/labstack/echo/middleware"
)

var store = contract.NewStore()

func main() {
	e := echo.New()
	e.Use(middleware.Recover())
	e.HTTPErrorHandler = fail
	e.GET("/ping", ping)
	api := e.Group("/api/v1")
	api.GET("/users", users)
	api.GET("/users/:id", user)
	api.POST("/orders", placeOrder)
	api.GET("/orders", orders)
	api.GET("/orders/:id", order)
	api.GET("/wait", wait)
	api.GET("/download", download)
	api.POST("/upload", upload)
	contract.Serve(e)
}

// Echo passes its own errors here too.
func fail(err error, c echo.Context) {
	var own *echo.HTTPError
	if errors.As(err, &own) {
		switch own.Code {
		case http.StatusNotFound:
			err = contract.NotFound
		case http.StatusMethodNotAllowed:
			// This version of Echo doesn't set Allow.
			var allowed []string
			for _, route := range c.Echo().Routes() {
				if route.Path == c.Path() {
					allowed = append(allowed, route.Method)
				}
			}
			c.Response().Header().Set("Allow", strings.Join(allowed, ", "))
			err = contract.MethodNotAllowed
		}
	}
	failed := contract.AsError(err)
	// Fails only if the client is gone.
	_ = c.JSON(failed.Status, contract.ErrorBody{Error: failed})
}

func respond(c echo.Context, status int, value any, err error) error {
	if err != nil {
		return err
	}
	return c.JSON(status, value)
}

func ping(c echo.Context) error {
	return c.JSON(http.StatusOK, contract.Ping{Status: "ok"})
}

func users(c echo.Context) error {
	page, err := store.Users(contract.Query(c.QueryParams()))
	return respond(c, http.StatusOK, page, err)
}

func user(c echo.Context) error {
	user, err := store.User(c.Param("id"))
	return respond(c, http.StatusOK, user, err)
}

func placeOrder(c echo.Context) error {
	body, err := contract.ReadBody(c.Response(), c.Request())
	if err != nil {
		return err
	}
	order, err := store.Place(body)
	return respond(c, http.StatusCreated, order, err)
}

func orders(c echo.Context) error {
	page, err := store.Orders(contract.Query(c.QueryParams()))
	return respond(c, http.StatusOK, page, err)
}

func order(c echo.Context) error {
	order, err := store.Order(c.Param("id"))
	return respond(c, http.StatusOK, order, err)
}

func wait(c echo.Context) error {
	waited, err := contract.Wait(contract.Query(c.QueryParams()))
	return respond(c, http.StatusOK, waited, err)
}

func download(c echo.Context) error {
	page, err := store.Download(contract.Query(c.QueryParams()))
	return respond(c, http.StatusOK, page, err)
}

func upload(c echo.Context) error {
	body, err := contract.ReadUpload(c.Response(), c.Request())
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, contract.Upload(body))
}
