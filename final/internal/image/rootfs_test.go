//go:build linux

package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

func lockThread() { runtime.LockOSThread() }

// registryWith starts a registry on loopback; spoil may change what it answers.
func registryWith(t *testing.T, spoil func(path string, body []byte) []byte) string {
	t.Helper()
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if spoil == nil || r.Method != http.MethodGet {
			handler.ServeHTTP(w, r)
			return
		}
		recorded := httptest.NewRecorder()
		handler.ServeHTTP(recorded, r)
		body := spoil(r.URL.Path, recorded.Body.Bytes())
		for key, values := range recorded.Header() {
			w.Header()[key] = values
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.WriteHeader(recorded.Code)
		_, _ = w.Write(body) // the client may have gone
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func layerOf(t *testing.T, entries ...tar.Header) v1.Layer {
	t.Helper()
	content := archive(t, entries...)
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
	if err != nil {
		t.Fatal(err)
	}
	return layer
}

func imageFor(t *testing.T, architecture string, layers ...v1.Layer) v1.Image {
	t.Helper()
	img, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", architecture
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

func push(t *testing.T, reference string, img v1.Image) {
	t.Helper()
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		t.Fatal(err)
	}
}

func TestPull(t *testing.T) {
	host := registryWith(t, nil)
	push(t, host+"/two:latest", imageFor(t, runtime.GOARCH, layerOf(t, file("a", "1"), file("b", "1")), layerOf(t, file("b", "2"), file(".wh.a", ""))))
	var progress bytes.Buffer
	root := t.TempDir()
	if err := Pull(t.Context(), host+"/two", root, PullOptions{Progress: &progress}); err != nil {
		t.Fatal(err)
	}
	if got := listing(t, root); len(got) != 1 || got["b"] != "2" {
		t.Errorf("unpacked %v, want b of the second layer alone", got)
	}
	if lines := strings.Count(progress.String(), "\n"); lines != 2 || !strings.Contains(progress.String(), "layer 2 of 2") {
		t.Errorf("progress %q, want a line for each of two layers", &progress)
	}
}

// pushIndex pushes an image for two platforms and returns its digest.
func pushIndex(t *testing.T, reference string) string {
	t.Helper()
	index := v1.ImageIndex(empty.Index)
	for _, architecture := range []string{"amd64", "arm64"} {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        imageFor(t, architecture, layerOf(t, file("arch", architecture))),
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}},
		})
	}
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, index); err != nil {
		t.Fatal(err)
	}
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

func TestPullPlatform(t *testing.T) {
	host := registryWith(t, nil)
	pushIndex(t, host+"/multi:1")
	push(t, host+"/single:1", imageFor(t, "riscv64", layerOf(t, file("a", ""))))
	for _, tt := range []struct{ image, platform, want, err string }{
		{"multi:1", "", runtime.GOARCH, ""},
		{"multi:1", "linux/arm64", "arm64", ""},
		{"multi:1", "linux/amd64", "amd64", ""},
		{"multi:1", "linux/s390x", "", "s390x"},
		{"multi:1", "arm64", "", `platform "arm64"`},
		{"single:1", "linux/amd64", "", "is for linux/riscv64, not for linux/amd64"},
		{"single:1", "linux/riscv64", "", ""},
		{"missing:1", "", "", "missing"},
	} {
		root := t.TempDir()
		err := Pull(t.Context(), host+"/"+tt.image, root, PullOptions{Platform: tt.platform})
		switch {
		case tt.err == "" && err != nil:
			t.Errorf("%s for %q: %v", tt.image, tt.platform, err)
		case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
			t.Errorf("%s for %q: error %v, want one with %q", tt.image, tt.platform, err, tt.err)
		case tt.want != "" && listing(t, root)["arch"] != tt.want:
			t.Errorf("%s for %q: unpacked for %q", tt.image, tt.platform, listing(t, root)["arch"])
		}
	}
}

func TestPullZstd(t *testing.T) {
	host := registryWith(t, nil)
	plain := archive(t, file("a", "zstd"))
	var compressed bytes.Buffer
	w, err := zstd.NewWriter(&compressed)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Write(plain)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(compressed.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	push(t, host+"/zstd", imageFor(t, runtime.GOARCH, layer))
	root := t.TempDir()
	if err := Pull(t.Context(), host+"/zstd", root, PullOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := listing(t, root)["a"]; got != "zstd" {
		t.Errorf("a is %q, want it unpacked", got)
	}
}

// A registry, or somebody on the way, that gives other bytes must be noticed whatever it changes.
func TestPullCorrupted(t *testing.T) {
	t.Parallel()
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte {
			b = bytes.Clone(b)
			b[(at+len(b))%len(b)] ^= 0x20
			return b
		}
	}
	for _, tt := range []struct {
		name  string
		spoil func([]byte) []byte
	}{
		{"a byte in the middle", func(b []byte) []byte { return flip(len(b) / 2)(b) }},
		{"the last byte", flip(-1)},
		{"the time in the gzip header, which no one unpacks", flip(4)},
		{"cut short", func(b []byte) []byte { return b[:len(b)-10] }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			layer := layerOf(t, file("a", strings.Repeat("content ", 300)))
			digest, err := layer.Digest()
			if err != nil {
				t.Fatal(err)
			}
			host := registryWith(t, func(path string, body []byte) []byte {
				if strings.HasSuffix(path, "/blobs/"+digest.String()) && len(body) > 0 {
					return tt.spoil(body)
				}
				return body
			})
			push(t, host+"/bad", imageFor(t, runtime.GOARCH, layer))
			err = Pull(t.Context(), host+"/bad", t.TempDir(), PullOptions{})
			if err == nil || !strings.Contains(err.Error(), "layer 1 of 1") {
				t.Errorf("error %v, want one that names the layer", err)
			}
		})
	}
}

// A layer whose digest is right but whose plain archive is not the one that the configuration names.
func TestPullWrongDiffID(t *testing.T) {
	host := registryWith(t, nil)
	img := imageFor(t, runtime.GOARCH, layerOf(t, file("a", "1")))
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.RootFS.DiffIDs[0].Hex = strings.Repeat("0", 64)
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	push(t, host+"/bad", img)
	if err := Pull(t.Context(), host+"/bad", t.TempDir(), PullOptions{}); err == nil || !strings.Contains(err.Error(), "diff id") {
		t.Errorf("error %v, want the diff id refused", err)
	}
}

func TestPullNotAnArchive(t *testing.T) {
	host := registryWith(t, nil)
	push(t, host+"/bad", imageFor(t, runtime.GOARCH, static.NewLayer([]byte("this is no archive at all"), types.DockerLayer)))
	if err := Pull(t.Context(), host+"/bad", t.TempDir(), PullOptions{}); err == nil {
		t.Error("a layer of text was unpacked")
	}
}

func TestPullErrorsNameTheRegistry(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := listener.Addr().String()
	if err := listener.Close(); err != nil { // nobody listens there now
		t.Fatal(err)
	}
	err = Pull(t.Context(), host+"/x", t.TempDir(), PullOptions{})
	if pull, ok := errors.AsType[*PullError](err); !ok || pull.Repository != host+"/x" {
		t.Errorf("error %v, want one that names the repository %s/x", err, host)
	}
	if err := Pull(t.Context(), "Not An Image", t.TempDir(), PullOptions{}); err == nil || !strings.Contains(err.Error(), `"Not An Image"`) {
		t.Errorf("error %v, want one that quotes the name", err)
	}
}

func TestPullCancelled(t *testing.T) {
	host := registryWith(t, nil)
	push(t, host+"/x", imageFor(t, runtime.GOARCH, layerOf(t, file("a", "1"))))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Pull(ctx, host+"/x", t.TempDir(), PullOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the cancellation", err)
	}
}

func TestShortNames(t *testing.T) {
	ref, err := name.ParseReference("alpine")
	if err != nil {
		t.Fatal(err)
	}
	if got := ref.Name(); got != "index.docker.io/library/alpine:latest" {
		t.Errorf("alpine is %s", got)
	}
}
