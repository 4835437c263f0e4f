package main

import "github.com/spf13/cobra"

func (c *command) newCopy() *cobra.Command { return &cobra.Command{Use: "copy", Args: cobra.NoArgs} }

func (c *command) newWatch() *cobra.Command { return &cobra.Command{Use: "watch", Args: cobra.NoArgs} }
