module github.com/cloakroom-go/cloakroom/tests

go 1.25.0
