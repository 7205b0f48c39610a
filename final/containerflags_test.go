//go:build linux && !engine

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/simple-container/simple-container/final/internal/ocispec"
)

// parseContainer reads flags as run and create do.
func parseContainer(line []string) (ocispec.Options, error) {
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	var f containerFlags
	f.add(flags)
	if err := flags.Parse(line); err != nil {
		return ocispec.Options{}, err
	}
	return f.options()
}

// TestContainerFlags: each flag arrives in its field.
func TestContainerFlags(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{"env": "A=file\nB=file\n", "labels": "a=file\nb=file\n"}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	t.Setenv("OURS", "yes")
	for line, want := range map[string]ocispec.Options{
		"-it -u 1:2 -w /w -h name": {Terminal: true, Stdin: true, User: "1:2", Workdir: "/w", Hostname: "name"},
		"--entrypoint /bin/x":      {Entrypoint: []string{"/bin/x"}},
		"--entrypoint=":            {Entrypoint: []string{}},
		"-e A=flag --env-file env -e OURS -e NONE": {
			Env: []string{"A=file", "B=file", "A=flag", "OURS=yes", "NONE"}},
		"--label-file labels -l a=flag -l c": {Labels: map[string]string{"a": "flag", "b": "file", "c": ""}},
		"--cap-add ALL --cap-drop chown":     {CapAdd: []string{"ALL"}, CapDrop: []string{"chown"}},
		"-v name:/n -v ./x:/x:ro --mount type=tmpfs,dst=/t --tmpfs /u": {Mounts: []ocispec.Mount{
			{Type: ocispec.Volume, Name: "name", Target: "/n"},
			{Type: ocispec.Bind, Source: dir + "/x", Target: "/x", ReadOnly: true, Create: true},
			{Type: ocispec.Tmpfs, Target: "/t", Options: []string{"noexec", "nosuid", "nodev", "rprivate"}},
			{Type: ocispec.Tmpfs, Target: "/u", Options: []string{"noexec", "nosuid", "nodev", "rprivate"}},
		}},
		"--ulimit nofile=1:2 --device /dev/fuse": {
			Ulimits: []ocispec.Ulimit{{Name: "nofile", Soft: 1, Hard: 2}},
			Devices: []ocispec.Device{{Host: "/dev/fuse", Container: "/dev/fuse", Access: "rwm"}}},
		"-m 64m --cpus 1.5 --pids-limit -1 --memory-swap -1": {Resources: ocispec.Resources{
			Memory: 64 << 20, NanoCPUs: 15e8, Pids: -1, MemorySwap: -1}},
		"--net host --pid host --ipc none --uts host --cgroupns private --userns 7:8": {
			Network: "host", PID: "host", IPC: "none", UTS: "host", Cgroup: "private", Userns: ocispec.Userns{First: 7, Size: 8}},
		"--shm-size 1g --sysctl net.x=1 --read-only --init --privileged": {
			ShmSize: 1 << 30, Sysctls: map[string]string{"net.x": "1"}, ReadOnly: true, Init: true, Privileged: true},
	} {
		got, err := parseContainer(strings.Fields(line))
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		for _, labels := range []*map[string]string{&want.Labels, &want.Annotations, &want.Sysctls} {
			if *labels == nil {
				*labels = map[string]string{}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", line, diff)
		}
	}
}

// TestContainerFlagErrors: the flag, the value, and what is wanted are said.
func TestContainerFlagErrors(t *testing.T) {
	for line, want := range map[string]string{
		"--memory lots":           `--memory "lots": want an amount of memory`,
		"--memory 1m":             `--memory "1MiB": a container needs 6m`,
		"-m 1g --memory-swap 5m":  `--memory-swap "5MiB": is for memory and swap together`,
		"--cpus two":              `--cpus "two": want a number of processors`,
		"--cpus 1 --cpu-quota 10": `--cpus: not together with`,
		"--pids-limit few":        `--pids-limit "few"`,
		"--ulimit files=3":        `--ulimit "files=3": want NAME=SOFT[:HARD]`,
		"--env-file none":         `--env-file: open none`,
		"--ipc shared":            `--ipc "shared": want host, none, private, shareable or container:NAME`,
		"--stop-signal BANG":      `--stop-signal: signal "BANG"`,
		"--oom-score-adj 1001":    `--oom-score-adj 1001: want -1000 to 1000`,
		"--tmpfs run":             `--tmpfs "run": target "run": want an absolute path`,
		"-v a:b":                  `--volume "a:b": target "b": want an absolute path`,
	} {
		if _, err := parseContainer(strings.Fields(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}
