//go:build linux

package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// killedPull tells this program that it is the helper of TestKilled: "ROOT REFERENCE".
const killedPull = "IMAGE_TEST_PULL"

func TestKilledHelper(t *testing.T) {
	root, reference, ok := strings.Cut(os.Getenv(killedPull), " ")
	if !ok {
		t.Skip("it is a program for TestKilled")
	}
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Pull(t.Context(), reference, PullOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestKilled ends pulls at many places. What they leave is no half image, and the next pull finds its way.
func TestKilled(t *testing.T) {
	t.Parallel()
	s, f := openStore(t), newFaulty(t)
	root := filepath.Dir(s.images)
	var contents []string
	var parts []v1.Layer
	for i := range 4 {
		content := noise(uint64(10+i), 400<<10)
		contents = append(contents, content)
		var entries []tar.Header
		for n := range 100 {
			entries = append(entries, file(fmt.Sprintf("d%d/%03d", n/10, n), content[n*4<<10:(n+1)*4<<10]))
		}
		parts = append(parts, layerOf(t, entries...))
	}
	img := imageFor(t, runtime.GOARCH, parts...)
	push(t, f.host+"/x", img)
	var served atomic.Int64
	var quick atomic.Bool
	f.answer(func(w http.ResponseWriter, r *http.Request, real http.Handler) bool {
		slowly := isBlob(r) && !quick.Load()
		if slowly {
			real.ServeHTTP(slow{w, &served}, r)
		}
		return slowly
	})
	for trial := range 12 {
		served.Store(0)
		helper := exec.Command(os.Args[0], "-test.run", "^TestKilledHelper$")
		helper.Env = append(os.Environ(), killedPull+"="+root+" "+f.host+"/x")
		if err := helper.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- helper.Wait() }()
		killAfter(helper, &served, int64(trial)*50<<10, ended)
		wantConsistent(t, s)
	}
	quick.Store(true)
	pulled, err := s.Pull(t.Context(), f.host+"/x", PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := s.Layers(pulled)
	if err != nil {
		t.Fatal(err)
	}
	for i, dir := range dirs {
		files := listing(t, dir)
		var got strings.Builder
		for _, name := range slices.Sorted(maps.Keys(files)) {
			if files[name] != "dir" {
				got.WriteString(files[name])
			}
		}
		if got.String() != contents[i] {
			t.Errorf("layer %d has %d bytes, want the %d of the image", i, got.Len(), len(contents[i]))
		}
	}
	reported := 0
	if err := s.Clean(true, func(string, string) { reported++ }); err != nil {
		t.Error(err)
	}
	if err := s.Clean(false, func(string, string) { reported-- }); err != nil || reported != 0 {
		t.Errorf("a dry run reports %d more than what is removed, %v", reported, err)
	}
	tidy(t, s)
}

// killAfter kills a process once so much was served to it, and waits for its end.
func killAfter(helper *exec.Cmd, served *atomic.Int64, amount int64, ended <-chan error) {
	for deadline := time.Now().Add(time.Minute); served.Load() < amount && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		select {
		case <-ended:
			return
		default:
		}
	}
	_ = helper.Process.Kill() // it may have ended meanwhile
	<-ended
}

// slow serves in small pieces, and counts.
type slow struct {
	http.ResponseWriter
	served *atomic.Int64
}

func (s slow) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), 16<<10)
		if _, err := s.ResponseWriter.Write(rest[:n]); err != nil {
			return 0, err
		}
		_ = http.NewResponseController(s.ResponseWriter).Flush() // an error shows at the next write
		s.served.Add(int64(n))
		rest = rest[n:]
		time.Sleep(time.Millisecond)
	}
	return len(p), nil
}

// wantConsistent looks at a store as a reader would, at any time: what has its final name is whole.
func wantConsistent(t *testing.T, s *Store) {
	t.Helper()
	images, err := s.List()
	if err != nil {
		t.Errorf("list: %v", err)
	}
	for _, img := range images {
		for _, d := range img.blobs() {
			if !s.hasBlob(d.Digest) {
				t.Errorf("image %s: blob %s is missing", img.Name(), d.Digest)
			}
		}
	}
	blobs, _ := filepath.Glob(s.images + "/blobs/sha256/*") // a bad pattern is the only error
	for _, path := range blobs {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil || digestOf(content).Hex != filepath.Base(path) {
			t.Errorf("blob %s is not whole: %v", filepath.Base(path), err)
		}
	}
	layers, _ := filepath.Glob(s.layers + "/sha256/*")
	for _, path := range layers {
		diffID := digestOf(nil)
		diffID.Hex = filepath.Base(path)
		m, markErr := s.readMark(diffID)
		got, err := count(path)
		if err := errors.Join(markErr, err); err != nil || got.Size != m.Size || got.Entries != m.Entries {
			t.Errorf("layer %s holds %+v, its mark says %+v, %v", diffID.Hex, got, m, err)
		}
	}
}
