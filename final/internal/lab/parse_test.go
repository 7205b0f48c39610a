//go:build linux

package lab

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "100": 100, "1k": 1024, "100m": 100 << 20, "1.5G": 3 << 29, "64MiB": 64 << 20, "2kb": 2048} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "m", "-1", "1x", "nan", "1e30g"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q is %d, want an error", text, got)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{"5": 5 * time.Second, "0.5": time.Second / 2, "2m": 2 * time.Minute, "1d": 24 * time.Hour, "100ms": 100 * time.Millisecond} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "x", "-1s"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q is %v, want an error", text, got)
		}
	}
}

func TestParseStat(t *testing.T) {
	p, err := parseStat("7 (a) b (c) S 1 7 6 34816 12 4194304 310 0 0 0 150 50 0 0 20 5 6 0 9171 1268527104 1792 18446744073709551615")
	if err != nil {
		t.Fatal(err)
	}
	if p.pid != 7 || p.comm != "a) b (c" || p.ppid != 1 || p.pgrp != 7 || p.session != 6 || p.terminal() != "pts/0" ||
		p.cpu != 2*time.Second || p.nice != 5 || p.threads != 6 || p.stat() != "SNl" {
		t.Errorf("parsed as %+v, stat %s", p, p.stat())
	}
	for _, line := range []string{"", "7 sh S 1", "7 (sh) S 1 2"} {
		if _, err := parseStat(line); err == nil {
			t.Errorf("%q was parsed", line)
		}
	}
}

func TestMappedLibraries(t *testing.T) {
	got, err := mappedLibraries(strings.NewReader(`00400000-00800000 r-xp 00000000 fe:01 11 /tmp/go-build1/b001/exe/final
7f1c2a400000-7f1c2a426000 r--p 00000000 fe:01 12    /usr/lib/x86_64-linux-gnu/libc.so.6
7f1c2a426000-7f1c2a57b000 r-xp 00026000 fe:01 12    /usr/lib/x86_64-linux-gnu/libc.so.6
7f1c2a600000-7f1c2a601000 r--p 00000000 fe:01 13    /lib64/ld-linux-x86-64.so.2
7f1c2a700000-7f1c2a701000 r--p 00000000 fe:01 14    /usr/lib/gone.so.1 (deleted)
7ffd4a000000-7ffd4a021000 rw-p 00000000 00:00 0     [stack]
`))
	want := []string{"/usr/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("found %q, %v; want %q", got, err, want)
	}
}

func TestParseMode(t *testing.T) {
	for _, tt := range []struct {
		text       string
		from, want uint32
	}{
		{"755", 0o600, 0o755}, {"4755", 0, 0o4755}, {"u+x", 0o644, 0o744}, {"go-rwx", 0o777, 0o700}, {"a=r", 0o777, 0o444},
		{"+x", 0o644, 0o755}, {"u+s,o-r", 0o755, 0o4751}, {"+t", 0o777, 0o1777}, {"a+X", 0o600, 0o600}, {"a+X", 0o700, 0o711},
	} {
		change, err := parseMode(tt.text)
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
		} else if got := change(tt.from); got != tt.want {
			t.Errorf("%s of %o is %o, want %o", tt.text, tt.from, got, tt.want)
		}
	}
	for _, text := range []string{"", "9", "u", "z+x", "u+q"} {
		if _, err := parseMode(text); err == nil {
			t.Errorf("%q was taken for a mode", text)
		}
	}
}

func TestParseKill(t *testing.T) {
	for _, tt := range []struct{ args, sig, targets string }{
		{"5", "TERM", "5"}, {"-9 5", "KILL", "5"}, {"-KILL 5 6", "KILL", "5 6"}, {"-s int -7", "INT", "-7"}, {"-SIGHUP -- -7", "HUP", "-7"},
		{"-n 1 %1", "HUP", "%1"}, {"-- -7", "TERM", "-7"},
	} {
		sig, targets, err := parseKill(strings.Fields(tt.args))
		if err != nil || signalName(sig) != tt.sig || strings.Join(targets, " ") != tt.targets {
			t.Errorf("kill %s: %s %q, %v; want %s %s", tt.args, signalName(sig), targets, err, tt.sig, tt.targets)
		}
	}
	if _, _, err := parseKill([]string{"-NOSUCH", "5"}); err == nil {
		t.Error("kill -NOSUCH was understood")
	}
}
