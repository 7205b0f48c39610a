//go:build linux

package image

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A faulty registry answers as a real one until before says otherwise: it returns true if it has answered itself.
type faulty struct {
	host   string
	blobs  atomic.Int64 // requests for blobs
	ranges atomic.Int64 // those with a range
	mu     sync.Mutex
	before answer
}

type answer func(w http.ResponseWriter, r *http.Request, real http.Handler) bool

// answer sets before.
func (f *faulty) answer(before answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = before
}

func newFaulty(t testing.TB) *faulty {
	t.Helper()
	f := &faulty{}
	real := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		before := f.before
		f.mu.Unlock()
		if before != nil && before(w, r, real) {
			return
		}
		if isBlob(r) {
			f.blobs.Add(1)
			if r.Header.Get("Range") != "" {
				f.ranges.Add(1)
			}
		}
		real.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	f.host = strings.TrimPrefix(server.URL, "http://")
	return f
}

func isBlob(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/")
}

// cut writes n bytes of the real answer, does something else, and ends the connection.
func cut(w http.ResponseWriter, r *http.Request, real http.Handler, n int, then func()) {
	recorded := httptest.NewRecorder()
	real.ServeHTTP(recorded, r)
	for key, values := range recorded.Header() {
		w.Header()[key] = values
	}
	w.WriteHeader(recorded.Code)
	body := recorded.Body.Bytes()
	_, _ = w.Write(body[:min(n, len(body))]) // the client may have gone
	_ = http.NewResponseController(w).Flush()
	then()
	panic(http.ErrAbortHandler) // which is how net/http wants it
}

// waitForPartial waits until something of a blob has arrived.
func waitForPartial(t *testing.T, s *Store) {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		files, _ := filepath.Glob(s.images + "/partial/*") // a bad pattern is the only error
		for _, name := range files {
			if info, err := os.Stat(name); err == nil && info.Size() > 0 {
				return
			}
		}
	}
	t.Error("nothing has arrived")
}

// noise is content that does not compress.
func noise(seed uint64, size int) string {
	random := rand.New(rand.NewPCG(seed, 2))
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(random.Uint32())
	}
	return string(content)
}

// isLarge tells requests for a layer of noise from those for a configuration.
func isLarge(t testing.TB, img v1.Image, r *http.Request) bool {
	t.Helper()
	config, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	return isBlob(r) && !strings.HasSuffix(r.URL.Path, config.String())
}

func TestPullGoesOnAfterCuts(t *testing.T) {
	s, f := openStore(t), newFaulty(t)
	content := noise(1, 600<<10)
	img := imageFor(t, runtime.GOARCH, layerOf(t, file("a", content)))
	push(t, f.host+"/cut", img)
	var cuts atomic.Int64
	f.answer(func(w http.ResponseWriter, r *http.Request, real http.Handler) bool {
		if isLarge(t, img, r) && cuts.Add(1) <= 3 {
			cut(w, r, real, 150<<10, func() {})
		}
		return false
	})
	pulled, err := s.Pull(t.Context(), f.host+"/cut", PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := f.ranges.Load(); got != 1 {
		t.Errorf("%d requests for a part came through, want 1, for the last", got)
	}
	wantFile(t, s, pulled, "a", content)
	tidy(t, s)
}

func wantFile(t *testing.T, s *Store, img *Image, name, content string) {
	t.Helper()
	layers, err := s.Layers(img)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(layers[len(layers)-1], name))
	if err != nil || string(got) != content {
		t.Errorf("%s has %d bytes, %v; want the %d of the image", name, len(got), err, len(content))
	}
}

// What a pull that was broken off has left is not fetched again.
func TestPullContinues(t *testing.T) {
	for _, tt := range []struct {
		name   string
		spoil  func(t *testing.T, partial string)
		ignore bool // the server ignores ranges
		whole  bool // all must come again
	}{
		{"where it ended", func(*testing.T, string) {}, false, false},
		{"from a server without ranges", func(*testing.T, string) {}, true, false},
		{"though what is there is another's", func(t *testing.T, partial string) {
			if err := os.WriteFile(partial, make([]byte, 1000), 0o600); err != nil {
				t.Fatal(err)
			}
		}, false, true},
		{"though too much is there", func(t *testing.T, partial string) {
			if err := os.WriteFile(partial, make([]byte, 1<<20), 0o600); err != nil {
				t.Fatal(err)
			}
		}, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, f := openStore(t), newFaulty(t)
			content := noise(2, 500<<10)
			img := imageFor(t, runtime.GOARCH, layerOf(t, file("a", content)))
			push(t, f.host+"/x", img)
			ctx, cancel := context.WithCancel(t.Context())
			f.answer(func(w http.ResponseWriter, r *http.Request, real http.Handler) bool {
				if isLarge(t, img, r) {
					cut(w, r, real, 200<<10, func() { waitForPartial(t, s); cancel() })
				}
				return false
			})
			if _, err := s.Pull(ctx, f.host+"/x", PullOptions{}); !errors.Is(err, context.Canceled) {
				t.Fatalf("the first pull: %v, want it cancelled", err)
			}
			if images, err := s.List(); err != nil || len(images) > 0 {
				t.Errorf("after half a pull: %v, %v; want no image", images, err)
			}
			partial, err := filepath.Glob(s.images + "/partial/*")
			if err != nil || len(partial) != 1 {
				t.Fatalf("partial files %q, %v; want one", partial, err)
			}
			tt.spoil(t, partial[0])
			var parts atomic.Int64
			f.answer(func(w http.ResponseWriter, r *http.Request, real http.Handler) bool {
				if isLarge(t, img, r) {
					if strings.HasPrefix(r.Header.Get("Range"), "bytes=") {
						parts.Add(1)
					}
					if tt.ignore {
						r.Header.Del("Range")
					}
				}
				return false
			})
			pulled, err := s.Pull(t.Context(), f.host+"/x", PullOptions{})
			if err != nil {
				t.Fatal(err)
			}
			wantFile(t, s, pulled, "a", content)
			if want := int64(1); parts.Load() != want && !tt.whole {
				t.Errorf("%d requests for a part, want %d", parts.Load(), want)
			}
			tidy(t, s)
		})
	}
}

func TestPullRetries(t *testing.T) {
	t.Parallel()
	s, f := openStore(t), newFaulty(t)
	push(t, f.host+"/busy", imageFor(t, runtime.GOARCH, layerOf(t, file("a", "1"))))
	var tries sync.Map
	f.answer(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if _, again := tries.LoadOrStore(r.URL.Path, true); !again {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		return false
	})
	if _, err := s.Pull(t.Context(), f.host+"/busy", PullOptions{}); err != nil {
		t.Errorf("a registry that is busy at the first try of everything: %v", err)
	}
	f.answer(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		w.WriteHeader(http.StatusInternalServerError)
		return true
	})
	start := time.Now()
	if _, err := s.Pull(t.Context(), f.host+"/busy", PullOptions{}); err == nil || !strings.Contains(err.Error(), "500") {
		t.Errorf("a registry that is broken: %v after %v", err, time.Since(start))
	}
}

// What is here is not asked for; a layer that two images share comes once, also if two pull at the same time.
func TestPullFetchesOnce(t *testing.T) {
	s, f := openStore(t), newFaulty(t)
	shared := layerOf(t, file("a", noise(3, 300<<10)))
	push(t, f.host+"/one", imageFor(t, runtime.GOARCH, shared, layerOf(t, file("b", noise(4, 100<<10)))))
	push(t, f.host+"/two", imageFor(t, runtime.GOARCH, shared))
	other, err := Open(filepath.Dir(s.images)) // as another process would
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			store, name := s, "/one"
			if i%2 > 0 {
				store = other
			}
			if i%3 > 0 {
				name = "/two"
			}
			if _, err := store.Pull(t.Context(), f.host+name, PullOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	// Two layers; and up to six times a configuration, which is too small to wait for others.
	if got := f.blobs.Load(); got > 2+6 {
		t.Errorf("%d requests for blobs, want each layer fetched once", got)
	}
	before := f.blobs.Load()
	var progress bytes.Buffer
	if _, err := s.Pull(t.Context(), f.host+"/one", PullOptions{Progress: &progress}); err != nil {
		t.Error(err)
	}
	if got := f.blobs.Load() - before; got != 0 {
		t.Errorf("%d requests for blobs of an image that is here, want none", got)
	}
	if strings.Count(progress.String(), "Already exists\n") != 2 {
		t.Errorf("progress %q, want two layers that exist", &progress)
	}
	tidy(t, s)
}

func TestPullMovesName(t *testing.T) {
	s, f := openStore(t), newFaulty(t)
	push(t, f.host+"/x:1", imageFor(t, runtime.GOARCH, layerOf(t, file("a", "1"))))
	old, err := s.Pull(t.Context(), f.host+"/x:1", PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	push(t, f.host+"/x:1", imageFor(t, runtime.GOARCH, layerOf(t, file("a", "2"))))
	fresh, err := s.Pull(t.Context(), f.host+"/x:1", PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dangling, err := s.Find(old.ID)
	if err != nil || len(dangling.Names) != 0 {
		t.Errorf("the old image: %v, %v; want it here without a name", dangling, err)
	}
	if found, err := s.Find(f.host + "/x:1"); err != nil || found.ID != fresh.ID {
		t.Errorf("the name: %v, %v; want the new image", found, err)
	}
	// By digest: the same image, which needs no new name.
	byDigest, err := s.Pull(t.Context(), fresh.Digests[0], PullOptions{})
	if err != nil || byDigest.ID != fresh.ID {
		t.Errorf("by digest: %v, %v", byDigest, err)
	}
	if found, err := s.Find(fresh.Digests[0]); err != nil || found.ID != fresh.ID {
		t.Errorf("found by digest: %v, %v", found, err)
	}
	if images, err := s.List(); err != nil || len(images) != 2 {
		t.Errorf("%d images, %v; want 2", len(images), err)
	}
}

func TestPullIndex(t *testing.T) {
	s, f := openStore(t), newFaulty(t)
	digest := pushIndex(t, f.host+"/multi:1")
	for _, platform := range []string{"linux/arm64", "linux/amd64"} {
		img, err := s.Pull(t.Context(), f.host+"/multi:1", PullOptions{Platform: platform})
		if err != nil {
			t.Fatal(err)
		}
		if got := img.Config.OS + "/" + img.Config.Architecture; got != platform {
			t.Errorf("pulled %s, want %s", got, platform)
		}
		if img.PulledDigest(f.host+"/multi:1") != digest {
			t.Errorf("digests %q, want the index's %s", img.Digests, digest)
		}
		if found, err := s.Find(f.host + "/multi@" + img.Digest); err != nil || found.ID != img.ID {
			t.Errorf("found by the manifest's digest: %v, %v", found, err)
		}
	}
	_, err := s.Pull(t.Context(), f.host+"/multi:1", PullOptions{Platform: "linux/s390x"})
	if err == nil || !strings.Contains(err.Error(), "linux/s390x") || !strings.Contains(err.Error(), "linux/arm64") {
		t.Errorf("another platform: %v, want an error with it and those that are there", err)
	}
}

func TestPullErrorsForPeople(t *testing.T) {
	s, f := openStore(t), newFaulty(t)
	push(t, f.host+"/x:1", imageFor(t, runtime.GOARCH, layerOf(t, file("a", "1"))))
	for _, tt := range []struct {
		name   string
		image  string
		answer func(w http.ResponseWriter)
		want   string
	}{
		{"no such tag", "/x:2", nil, "manifest unknown"},
		{"no such repository", "/nothing", nil, "does not exist"},
		{"a login is wanted", "/x:1", func(w http.ResponseWriter) {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
		}, "podman login " + f.host},
		{"forbidden", "/x:1", func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) }, "unauthorized"},
	} {
		f.answer(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
			if tt.answer != nil {
				tt.answer(w)
			}
			return tt.answer != nil
		})
		_, err := s.Pull(t.Context(), f.host+tt.image, PullOptions{})
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "pull "+f.host) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	tidy(t, s)
}

// Each place that keeps credentials, in turn the only one.
func TestPullCredentials(t *testing.T) {
	s, f := openStore(t), newFaulty(t)
	push(t, f.host+"/team/x:1", imageFor(t, runtime.GOARCH, layerOf(t, file("a", "1"))))
	f.answer(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if user, password, _ := r.BasicAuth(); user == "user" && password == "pass:word" {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	secret := base64.StdEncoding.EncodeToString([]byte("user:pass:word"))
	auths := func(key string) string { return fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, key, secret) }
	helper := func(dir string) {
		script := "#!/bin/sh\nread server; test \"$server\" = " + f.host + " || { echo credentials not found in native keychain; exit 1; }\n" +
			`echo '{"ServerURL": "", "Username": "user", "Secret": "pass:word"}'` + "\n"
		if err := os.WriteFile(dir+"/docker-credential-test", []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	}
	for _, tt := range []struct {
		name    string
		file    string
		env     string // that names the directory, or with a "." in it the file
		content string
		refused bool
	}{
		{"nowhere", "none", "HOME", "", true},
		{"Docker's", ".docker/config.json", "HOME", auths(f.host), false},
		{"Docker's with a scheme", ".docker/config.json", "HOME", auths("https://" + f.host), false},
		{"Docker's, elsewhere", "config.json", "DOCKER_CONFIG", auths(f.host), false},
		{"Podman's, for this run", "containers/auth.json", "XDG_RUNTIME_DIR", auths(f.host), false},
		{"Podman's, for good", ".config/containers/auth.json", "HOME", auths(f.host), false},
		{"Podman's, for a namespace", ".config/containers/auth.json", "HOME", auths(f.host + "/team"), false},
		{"Podman's, for another namespace", ".config/containers/auth.json", "HOME", auths(f.host + "/other"), true},
		{"a helper for all", ".docker/config.json", "HOME", `{"credsStore": "test"}`, false},
		{"a helper for one", ".docker/config.json", "HOME", fmt.Sprintf(`{"credHelpers": {%q: "test"}}`, f.host), false},
		{"a helper for another", ".docker/config.json", "HOME", `{"credHelpers": {"example.com": "test"}}`, true},
		{"not JSON", ".docker/config.json", "HOME", `{`, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range []string{"DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"} {
				t.Setenv(name, "")
			}
			t.Setenv("HOME", dir)
			t.Setenv(tt.env, dir)
			helper(dir)
			at := filepath.Join(dir, tt.file)
			if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(at, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Pull(t.Context(), f.host+"/team/x:1", PullOptions{}); (err != nil) != tt.refused {
				t.Errorf("%v, want it refused: %v", err, tt.refused)
			}
		})
	}
}

// Bad bytes never become an image, and the next pull gets good ones.
func TestPullRefusesBadBytes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		spoil func(body []byte) []byte
	}{
		{"a byte in the middle", func(b []byte) []byte { b = bytes.Clone(b); b[len(b)/2] ^= 1; return b }},
		{"the last byte", func(b []byte) []byte { b = bytes.Clone(b); b[len(b)-1] ^= 1; return b }},
		{"nothing at all", func(b []byte) []byte { return make([]byte, len(b)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := openStore(t)
			var honest atomic.Bool
			layer := layerOf(t, file("a", noise(5, 100<<10)))
			digest, err := layer.Digest()
			if err != nil {
				t.Fatal(err)
			}
			host := registryWith(t, func(path string, body []byte) []byte {
				if strings.HasSuffix(path, "/blobs/"+digest.String()) && !honest.Load() {
					return tt.spoil(body)
				}
				return body
			})
			push(t, host+"/bad", imageFor(t, runtime.GOARCH, layer))
			if _, err := s.Pull(t.Context(), host+"/bad", PullOptions{}); err == nil || !strings.Contains(err.Error(), "layer 1 of 1") {
				t.Errorf("error %v, want one that names the layer", err)
			}
			if images, err := s.List(); err != nil || len(images) > 0 || s.hasBlob(digest) {
				t.Errorf("images %v, %v; the blob is there: %v", images, err, s.hasBlob(digest))
			}
			honest.Store(true)
			if _, err := s.Pull(t.Context(), host+"/bad", PullOptions{}); err != nil {
				t.Error(err)
			}
			tidy(t, s)
		})
	}
}
