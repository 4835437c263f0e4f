module github.com/cloakroom-go/cloakroom/echov5session

go 1.25.0

require (
	github.com/cloakroom-go/cloakroom v0.1.0
	github.com/labstack/echo/v5 v5.4.5
)

require golang.org/x/time v0.15.0 // indirect

replace github.com/cloakroom-go/cloakroom => ..
