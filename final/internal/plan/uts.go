//go:build linux

package plan

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// setNames names the machine that the container takes itself for (uts_namespaces(7)).
func (c *create) setNames() error {
	for _, name := range []struct {
		field, value, call, shell string
		nr                        int
	}{
		{"hostname", c.spec.Hostname, "sethostname", "hostname ", unix.SYS_SETHOSTNAME},
		{"domainname", c.spec.Domainname, "setdomainname", "domainname ", unix.SYS_SETDOMAINNAME},
	} {
		if name.value == "" {
			continue
		}
		c.Add(op.Op{Name: name.call, Nr: name.nr, Args: []op.Arg{op.Str(name.value), op.Int(len(name.value))},
			Shell: name.shell + name.value, Why: "the name in the container's uts namespace",
			Means: fmt.Sprintf("%s: %q", name.field, name.value)})
	}
	return nil
}
