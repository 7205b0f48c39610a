//go:build linux && !engine

package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// verbGroups are the parts of the help. A verb that is in none is the OCI runtime's, or goes its own ways.
var verbGroups = []struct{ id, title, verbs string }{
	{"containers", "Containers:", "run create start stop restart kill rm ps inspect logs exec attach wait top stats events pause unpause update cp diff commit export"},
	{"images", "Images:", "pull images rmi tag save load import"},
	{"networks", "Networks and volumes:", "network port volume"},
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

// checkRoot refuses to who is not root what is about root's containers, images and networks. The rest of the workshop
// is for everybody, or says itself what it cannot see.
func checkRoot(command *cobra.Command, _ []string) error {
	top := command
	for top.HasParent() && top.Parent().HasParent() {
		top = top.Parent()
	}
	parts, others := []string{"containers", "images", "networks"}, []string{"trace", "metrics"}
	if !slices.Contains(parts, top.GroupID) && !slices.Contains(others, top.Name()) {
		return nil
	}
	err := needRoot(top.Name())
	if err != nil && (top.Name() == "run" || top.Name() == "create") {
		return &coded{125, err} // as Docker
	}
	return err
}
