//go:build linux

package main

import (
	"strings"
	"testing"
)

// parse reads a command line as far as it goes without doing anything: the globals, and the flags of the verb.
func parseArguments(line []string) (verbName string, args []string, err error) {
	_, rest, err := parseGlobals(line)
	if err != nil || len(rest) == 0 {
		return "", rest, err
	}
	v, ok := findVerb(rest[0])
	if !ok {
		return rest[0], rest[1:], nil
	}
	flags := newFlagSet(v.name())
	flags.SetInterspersed(v.most >= 0)
	v.flags(flags)
	err = flags.Parse(rest[1:])
	return v.name(), flags.Args(), err
}

// TestArguments: the forms in which engines give them.
func TestArguments(t *testing.T) {
	for line, want := range map[string]string{
		"--root /r --log /l --log-format json create --bundle /b --pid-file /p id": "create id",
		"--root=/r --log=/l --log-format=json create --bundle=/b id":               "create id",
		"--systemd-cgroup create -b /b id":                                         "create id",
		"create id -b /b --no-pivot":                                               "create id",
		"kill --all id 9":                                                          "kill id 9",
		"kill id KILL --all":                                                       "kill id KILL",
		"delete --force id":                                                        "delete id",
		"delete id --force":                                                        "delete id",
		"exec --process /p --detach --pid-file /f id":                              "exec id",
		"exec -d --process /p id":                                                  "exec id",
		"exec id ls -la --all":                                                     "exec id ls -la --all",
		"exec -e A=1 -e B=2 -u 1:2 id sh -c x":                                     "exec id sh -c x",
		"ps --format json id":                                                      "ps id",
		"ps id -o pid,args":                                                        "ps id -o pid,args",
		"events --stats id":                                                        "events id",
		"events --interval=5s id":                                                  "events id",
		"update --resources=- id":                                                  "update id",
		"list --format=json":                                                       "list",
		"list -q":                                                                  "list",
		"create -f c.json --no-subreaper --bundle /b id":                           "create id",
		"update --kernel-memory 1m --kernel-memory-tcp=1m id":                      "update id",
		"spec --bundle /b --file other.json":                                       "spec",
		"run -d --pid-file p -b /b id":                                             "run id",
		"--version":                                                                "version",
		"-v":                                                                       "version",
		"--rootless=true --debug state id":                                         "state id",
	} {
		name, args, err := parseArguments(strings.Fields(line))
		if got := strings.TrimSpace(name + " " + strings.Join(args, " ")); got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", line, got, err, want)
		}
	}
	for _, line := range []string{"--log-format xml state id", "--executor none state id", "create --no-such id", "--root"} {
		if _, _, err := parseArguments(strings.Fields(line)); err == nil {
			t.Errorf("%s: no error", line)
		}
	}
}

// FuzzArguments: no command line makes the parser panic, and what it leaves is part of what it got.
func FuzzArguments(f *testing.F) {
	for _, seed := range []string{
		"--root\x00/r\x00create\x00-b\x00/b\x00id", "exec\x00id\x00--\x00-x", "kill\x00--\x00id", "-\x00--\x00=",
		"run\x00--preserve-fds=-1\x00id", "update\x00--memory\x00\xff\x00id", "events\x00--interval=0\x00id",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words := strings.Split(line, "\x00")
		_, args, err := parseArguments(words)
		if err != nil {
			return
		}
		for _, arg := range args {
			if !strings.Contains(line, arg) {
				t.Errorf("%q: argument %q comes from nowhere", words, arg)
			}
		}
	})
}
