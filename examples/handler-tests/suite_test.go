package main

import (
	"testing"

	"github.com/cloakroom-go/cloakroom/internal/suite"
)

// What all tests of this repository end with, and yours need not.
func TestMain(m *testing.M) { suite.Main(m) }
