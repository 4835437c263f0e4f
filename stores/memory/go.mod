module github.com/cloakroom-go/cloakroom/stores/memory

go 1.25.0

require github.com/cloakroom-go/cloakroom v0.1.0

replace github.com/cloakroom-go/cloakroom => ../..
