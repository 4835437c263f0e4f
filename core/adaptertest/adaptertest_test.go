package adaptertest_test

import (
	"testing"

	"github.com/cloakroom-go/cloakroom/core/adaptertest"
)

func TestNetHTTP(t *testing.T) {
	adaptertest.Run(t, adaptertest.NetHTTP(), nil)
}
