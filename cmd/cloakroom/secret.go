package main

import (
	"crypto/rand"
	"encoding/base64"

	"github.com/spf13/cobra"
)

func (c *command) newSecret() *cobra.Command {
	return &cobra.Command{
		Use: "secret", Short: "Make a secret, for Config.Secrets or Config.SealKeys", Args: cobra.NoArgs,
		Long: `Prints 32 random bytes in base64, as openssl rand -base64 32 does. It is kept nowhere.
docs/keys.md tells how a secret is rotated.`,
		RunE: func(*cobra.Command, []string) error {
			var secret [32]byte
			rand.Read(secret[:]) // never fails
			text := base64.StdEncoding.EncodeToString(secret[:])
			if c.json {
				return c.printJSON(map[string]string{"secret": text})
			}
			c.printf("%s\n", text)
			return nil
		},
	}
}
