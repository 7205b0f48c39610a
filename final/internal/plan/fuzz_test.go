//go:build linux

package plan

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// FuzzCreate: whatever is in a config.json, there is a plan that can be encoded, or an error.
func FuzzCreate(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no testdata: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, text := range []string{
		`null`, `{"process": null}`, `{"linux": null, "root": null}`,
		spec(`, "mounts": [{"destination": ""}, {"destination": "..", "type": "bind"}]`, ``, ``, ``),
		spec(`, "hooks": {"prestart": [{}]}`, `, "args": [""]`, `, "seccomp": {}`, ``),
		spec(``, `, "cwd": "//a//../b/", "env": ["PATH="]`, `, "devices": [{"path": "", "type": "c"}]`, ``),
		spec(``, `, "cwd": "/\u0000"`, `, "maskedPaths": ["/\u0000"]`, ``),
		spec(``, `, "apparmorProfile": "a", "selinuxLabel": "b"`, `, "sysctl": {"": ""}`, ``),
		spec(``, `, "scheduler": {}, "ioPriority": {}, "execCPUAffinity": {"initial": "9999999999"}`, `, "personality": {}`, ``),
		spec(``, ``, `, "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0-4294967295"}`, ``),
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := &specs.Spec{}
		if json.Unmarshal(text, s) != nil {
			return
		}
		if _, err := build(s); err != nil {
			return
		}
		if len(s.Process.Args) == 0 {
			return // nothing to start
		}
		o := machine()
		o.Start, o.Target, o.TargetKinds = 0, 4, unix.CLONE_NEWNS
		list, err := Exec(s, s.Process, o)
		if err != nil {
			t.Fatalf("a plan to create the container, none to exec: %v", err)
		}
		if _, err := list.Encode(); err != nil {
			t.Fatal(err)
		}
	})
}
