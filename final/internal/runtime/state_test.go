//go:build linux

package runtime

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/simple-container/simple-container/final/internal/decode"
)

// TestRecordFields: what is written to state.json is read again, all of it, and without encoding/json.
func TestRecordFields(t *testing.T) {
	want := record{
		ID: "a", Bundle: "/b", Rootfs: "/b/<r>", Created: time.Date(2026, 7, 1, 12, 0, 0, 7, time.UTC), Pid: 7, Born: 1 << 63,
		Cgroups: map[string]string{"": "/c", "pids": "/d"}, Beneath: 9, Systemd: "x.scope",
		Late:         Late{Ops: 3, Words: []string{`exec "a"`, "ü\n"}, Shell: []string{"", "a && b"}},
		NoNewKeyring: true, Annotations: map[string]string{"x": "y"}, Bare: true, NewPID: true, Complete: true,
		Hooks: &specs.Hooks{Poststop: []specs.Hook{{Path: "/h", Args: []string{"h"}, Env: []string{"A=b"}, Timeout: ptr(3)}}},
	}
	text, err := want.json()
	if err != nil {
		t.Fatal(err)
	}
	var got record
	if !decode.Read(text, &got, recordFields.Read) {
		t.Errorf("left to encoding/json: %s", text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestRecordJSON: what is written is what encoding/json would write.
func TestRecordJSON(t *testing.T) {
	for _, r := range []record{
		{}, {ID: "a", Late: Late{Words: []string{}, Shell: []string{"", "<&>"}}, Cgroups: map[string]string{}},
		{
			ID: "b", Bundle: "/b \"\\\n\x7f\xff\u2028", Created: time.Now(), Pid: 1 << 22, Born: 1<<64 - 1, Beneath: 1, Systemd: "é",
			Cgroups: map[string]string{"z": "/z", "a": "/a"}, Annotations: map[string]string{"": "", "k.io/<x>": "v"},
			Hooks: &specs.Hooks{Prestart: []specs.Hook{{Path: "/h"}}}, NoNewKeyring: true, Bare: true, NewPID: true, Complete: true,
		},
	} {
		got, err := r.json()
		want, wantErr := json.Marshal(r)
		if err != nil || wantErr != nil || string(got) != string(want) {
			t.Errorf("got  %s, %v\nwant %s, %v", got, err, want, wantErr)
		}
	}
}
