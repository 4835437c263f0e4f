module github.com/cloakroom-go/cloakroom/stores/sql

go 1.25.0

require github.com/cloakroom-go/cloakroom v0.1.0

replace github.com/cloakroom-go/cloakroom => ../..
