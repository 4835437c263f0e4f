package vectors

import (
	"encoding/gob"
	"time"
)

// The types of the app that made the vectors.
type (
	// Account is a struct with what a struct may hold.
	Account struct {
		ID    int64             `json:"id"`
		Name  string            `json:"name"`
		Admin bool              `json:"admin"`
		Role  Role              `json:"role"`
		Since time.Time         `json:"since"`
		Tags  []string          `json:"tags"`
		Extra map[string]string `json:"extra"`
		Cart  []Item            `json:"cart"`
		Best  *Item             `json:"best"`
		Ratio float32           `json:"ratio"`
		Raw   []byte            `json:"raw"`
		Any   any               `json:"any"`
	}
	// Item is a part of it, and by a pointer a value of its own.
	Item struct {
		SKU string `json:"sku"`
		N   int    `json:"n"`
	}
	// Role is a number with a name.
	Role int
	// Key is the type of a key.
	Key string
)

// Register registers the types, under the names that they had in that app.
func Register() {
	gob.RegisterName("lab/app.Account", Account{})
	gob.RegisterName("*app.Item", &Item{})
	gob.RegisterName("lab/app.Role", Role(0))
	gob.RegisterName("lab/app.Key", Key(""))
}
