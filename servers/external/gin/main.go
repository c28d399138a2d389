// The contract served by Gin.
package main

import (
	"contract"
	"net/http"

	"github.com/gin-gonic/gin"
)

var store = contract.NewStore()

func main() {
	gin.SetMode(gin.ReleaseMode)
	// gin.Default() would also log every request.
	r := gin.New()
	r.Use(gin.Recovery())
	r.RedirectTrailingSlash = false
	r.HandleMethodNotAllowed = true
	r.NoRoute(func(c *gin.Context) { fail(c, contract.NotFound) })
	r.NoMethod(methodNotAllowed)
	r.GET("/ping", ping)
	api := r.Group("/api/v1")
	api.GET("/users", users)
	api.GET("/users/:id", user)
	api.POST("/orders", placeOrder)
	api.GET("/orders", orders)
	api.GET("/orders/:id", order)
	api.GET("/wait", wait)
	api.GET("/download", download)
	api.POST("/upload", upload)
	contract.Serve(r)
}

// This version of Gin doesn't set Allow.
func methodNotAllowed(c *gin.Context) {
	allow := "GET"
	switch c.Request.URL.Path {
	case "/api/v1/orders":
		allow = "GET, POST"
	case "/api/v1/upload":
		allow = "POST"
	}
	c.Header("Allow", allow)
	fail(c, contract.MethodNotAllowed)
}

func fail(c *gin.Context, err error) {
	failed := contract.AsError(err)
	c.JSON(failed.Status, contract.ErrorBody{Error: failed})
}

func respond(c *gin.Context, status int, value any, err error) {
	if err != nil {
		fail(c, err)
		return
	}
	c.JSON(status, value)
}

func ping(c *gin.Context) {
	c.JSON(http.StatusOK, contract.Ping{Status: "ok"})
}

func users(c *gin.Context) {
	page, err := store.Users(c.GetQuery)
	respond(c, http.StatusOK, page, err)
}

func user(c *gin.Context) {
	user, err := store.User(c.Param("id"))
	respond(c, http.StatusOK, user, err)
}

func placeOrder(c *gin.Context) {
	body, err := contract.ReadBody(c.Writer, c.Request)
	if err != nil {
		fail(c, err)
		return
	}
	order, err := store.Place(body)
	respond(c, http.StatusCreated, order, err)
}

func orders(c *gin.Context) {
	page, err := store.Orders(c.GetQuery)
	respond(c, http.StatusOK, page, err)
}

func order(c *gin.Context) {
	order, err := store.Order(c.Param("id"))
	respond(c, http.StatusOK, order, err)
}

func wait(c *gin.Context) {
	waited, err := contract.Wait(c.GetQuery)
	respond(c, http.StatusOK, waited, err)
}

func download(c *gin.Context) {
	page, err := store.Download(c.GetQuery)
	respond(c, http.StatusOK, page, err)
}

func upload(c *gin.Context) {
	body, err := contract.ReadUpload(c.Writer, c.Request)
	if err != nil {
		fail(c, err)
		return
	}
	c.JSON(http.StatusOK, contract.Upload(body))
}
