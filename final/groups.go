//go:build linux && !engine

package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// verbGroups are the parts of the help. A verb that is in none is the OCI runtime's, or goes its own ways.
var verbGroups = []struct{ id, title, verbs string }{
	{"containers", "Containers:", "run create start stop restart kill rm ps inspect logs exec attach wait top stats events pause unpause update cp diff commit export"},
	{"images", "Images:", "pull images rmi tag save load import"},
	{"networks", "Networks:", "network port"},
	{"workshop", "Look inside:", "plan rootfs trace metrics dashboard doctor clean"},
	{"oci", "OCI runtime, for engines:", "state delete list resume spec features version checkpoint restore"},
}

// group sorts the verbs into the parts, and leaves out those that have none.
func group(root *cobra.Command) {
	for _, g := range verbGroups {
		empty := true
		for name := range strings.FieldsSeq(g.verbs) {
			if command, _, err := root.Find([]string{name}); err == nil && command != root {
				command.GroupID, empty = g.id, false
			}
		}
		if !empty {
			root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		}
	}
}
