//go:build linux && !engine

package main

import (
	"io"
	stdlog "log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/vishvananda/netlink"
)

// In a container the test binary is what the program would be: the lab's commands.
func init() {
	if code, ok := userland(os.Args); ok {
		os.Exit(code)
	}
}

// TestTranscript types what Docker's users type every day, and looks for the results that Docker documents. It has a
// machine of its own, with a registry.
func TestTranscript(t *testing.T) {
	if !inWorld(t) {
		return
	}
	w := newPeopleWorld(t)
	for _, script := range []string{"everyday", "unread", "complete", "crash"} {
		t.Run(script, func(t *testing.T) { // which waits for its end: scripts are parallel tests
			testscript.Run(t, testscript.Params{
				Files: []string{"testdata/transcript/" + script + ".txt"},
				Setup: func(env *testscript.Env) error {
					env.Setenv("PATH", w.bin+":"+os.Getenv("PATH"))
					env.Setenv(actAs, "final")
					env.Setenv("REGISTRY", w.registry)
					return nil
				},
			})
		})
		w.nothingLeft(t)
	}
}

// A peopleWorld is what people have beside a machine: the program in their PATH, and a registry.
type peopleWorld struct{ bin, registry string }

func newPeopleWorld(t *testing.T) *peopleWorld {
	t.Helper()
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		t.Fatal(err)
	}
	mount(t, "tmpfs", filepath.Dir(dataRoot), "tmpfs", 0, "") // the machine's own is not ours
	w := &peopleWorld{bin: t.TempDir(), registry: serveRegistry(t)}
	self, err := os.Executable()
	if err == nil {
		err = os.Symlink(self, w.bin+"/final")
	}
	if err != nil {
		t.Fatal(err)
	}
	w.publish(t)
	return w
}

// serveRegistry serves a registry for as long as the test runs.
func serveRegistry(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: registry.New(registry.Logger(stdlog.New(io.Discard, "", 0)))}
	go func() { _ = server.Serve(listener) }() // Close ends it
	t.Cleanup(func() { server.Close() })
	return listener.Addr().String()
}

// publish puts an image into the registry: the lab, with more to say of how it is to be run.
func (w *peopleWorld) publish(t *testing.T) {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "lab.tar")
	final(t, "run", "--rm", "lab", "true") // makes the lab's image
	if _, complaint, code := final(t, "save", "-o", archive, "lab"); code != 0 {
		t.Fatalf("save: code %d: %s", code, complaint)
	}
	img, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		t.Fatal(err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config := file.Config
	config.Entrypoint, config.Cmd = []string{"sh", "-c"}, []string{"echo $GREETING from $(id -un); echo careful >&2"}
	config.Env = append(config.Env, "GREETING=hello")
	config.Labels = map[string]string{"part": "demo"}
	config.Volumes = map[string]struct{}{"/data": {}}
	config.User, config.WorkingDir, config.StopSignal = "learner", "/home", "SIGINT"
	if img, err = mutate.Config(img, config); err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(w.registry + "/demo:1")
	if err == nil {
		err = remote.Write(tag, img)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// nothingLeft looks for what containers have on the machine, once all are removed.
func (w *peopleWorld) nothingLeft(t *testing.T) {
	t.Helper()
	if out, complaint, _ := final(t, "ps", "-a", "-q"); out != "" || complaint != "" {
		t.Errorf("containers are left: %s%s", out, complaint)
	}
	var left []string
	for _, pattern := range []string{
		dataRoot + "/containers/*", dataRoot + "/names/*", "/run/simple-container/engine/*", "/run/simple-container/oci/*",
	} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, paths...)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, dataRoot+"/") {
			left = append(left, line)
		}
	}
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if link.Attrs().Name != "lo" {
			left = append(left, "link "+link.Attrs().Name)
		}
	}
	if len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
}
