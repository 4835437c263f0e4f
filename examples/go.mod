module github.com/cloakroom-go/cloakroom/examples

go 1.25.0

require (
	github.com/cloakroom-go/cloakroom v0.1.0
	github.com/cloakroom-go/cloakroom/echosession v0.1.0
	github.com/cloakroom-go/cloakroom/ginsession v0.1.0
	github.com/cloakroom-go/cloakroom/stores/memory v0.1.0
	github.com/gin-gonic/gin v1.12.0
	github.com/labstack/echo/v4 v4.16.0
)

replace (
	github.com/cloakroom-go/cloakroom => ..
	github.com/cloakroom-go/cloakroom/echosession => ../echosession
	github.com/cloakroom-go/cloakroom/ginsession => ../ginsession
	github.com/cloakroom-go/cloakroom/stores/memory => ../stores/memory
)
