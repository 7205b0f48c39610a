//go:build linux

package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A namespace that the spec gives by path may be our own: then what would be set in it would be set for the host.
func TestNothingIsSetForTheHost(t *testing.T) {
	for _, test := range []struct{ namespace, top, linux, want string }{
		{`"uts", "path": "/proc/self/ns/uts"`, `"hostname": "mine",`, ``, `hostname: "mine": without a uts namespace`},
		{`"network", "path": "/proc/self/ns/net"`, ``, `"sysctl": {"net.ipv4.ip_forward": "1"},`, `linux.sysctl: "net.ipv4.ip_forward": `},
		{`"network", "path": "/proc/self/ns/net"`, ``, `"netDevices": {"lo": {"name": "mine"}},`, "linux.netDevices: they need a network namespace"},
	} {
		config := fmt.Sprintf(`{"ociVersion": "1.3.0", "root": {"path": "rootfs"}, %s "linux": {%s "namespaces": [{"type": %s}, {"type": "mount"}]}}`,
			test.top, test.linux, test.namespace)
		bundle := t.TempDir()
		if err := os.WriteFile(filepath.Join(bundle, configFile), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := readConfig(filepath.Join(bundle, configFile)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s\ngot %v, want %s", config, err, test.want)
		}
	}
}
