// Package sql runs the store for SQL on real databases: the contract of a store, the
// table of package adaptertest, several processes on one database, and what happens
// when a database refuses, stops or dies.
package sql

import (
	"testing"

	"github.com/cloakroom-go/cloakroom/internal/suite"
)

func TestMain(m *testing.M) { suite.MainWaiting(m) }
