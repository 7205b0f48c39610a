//go:build linux && !engine

package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/sys/unix"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// BenchmarkPull is how long it takes to pull and unpack an image of 200 MB in eight layers, from a registry on
// loopback into an empty store on the disk. Podman takes turns with final, if it is installed: whatever else the
// machine does hits both alike, and the ratio counts, not the times.
//
//	go test ./final -run '^$' -bench Pull -benchtime 7x
func BenchmarkPull(b *testing.B) {
	runtime.LockOSThread() // and never unlock: the thread, in its namespace, ends with this function
	dir := b.TempDir()
	const podmanState = "/run/podman-bench" // podman wants it short
	if err := errors.Join(
		unix.Unshare(unix.CLONE_NEWNS),
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"),
		unix.Mkdir(podmanState, 0o700),
	); err != nil {
		b.Fatal(err)
	}
	reference := serveImage(b)
	build := exec.Command("go", "build", "-o", dir+"/final", ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	pullers := []*puller{{
		contender: contender{name: "final", command: []string{dir + "/final", "--data-root"}},
		pull:      []string{"pull", "--quiet", reference},
	}}
	if path, err := exec.LookPath("podman"); err == nil {
		pullers = append(pullers, &puller{
			contender: contender{name: "podman", command: []string{path, "--runroot", podmanState + "/run", "--tmpdir", podmanState + "/tmp",
				"--storage-driver", "overlay", "--cgroup-manager", "cgroupfs", "--events-backend", "none", "--root"}},
			pull: []string{"pull", "--quiet", "--tls-verify=false", reference},
		})
	}
	for i := 0; b.Loop(); i++ {
		for _, turn := range rand.Perm(len(pullers)) {
			if err := pullers[turn].cycle(dir, i); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(0, "ns/op") // of both together it says nothing
	fmt.Printf("\n%-16s %8s %8s %8s %8s %8s   %s\n", "ms", "min", "p25", "median", "p95", "CPU", "median, final's by this one's")
	for _, p := range pullers {
		slices.Sort(p.cpu)
		fmt.Printf("%-16s %8.0f %8.0f %8.0f %8.0f %8d   %.2f\n", p.name, p.quantile(0), p.quantile(0.25), p.quantile(0.5), p.quantile(0.95),
			p.cpu[len(p.cpu)/2].Milliseconds(), pullers[0].quantile(0.5)/p.quantile(0.5))
	}
}

// A puller is a program that pulls, and the times it took.
type puller struct {
	contender
	pull []string
	cpu  []time.Duration // user's and system's
}

// cycle pulls into a place of its own. Nothing is removed in between: ext4 looks for a new inode where others were
// removed of late, and passes them by one after the other, which would be most of the time that is measured.
func (p *puller) cycle(dir string, round int) error {
	if err := syncDisk(dir); err != nil { // what others have left to write is not this one's
		return err
	}
	place := fmt.Sprintf("%s/%s-%d", dir, p.name, round)
	command := exec.Command(p.command[0], append(append(slices.Clone(p.command[1:]), place), p.pull...)...)
	start := time.Now()
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", p.name, err, out)
	}
	p.times = append(p.times, time.Since(start))
	p.cpu = append(p.cpu, command.ProcessState.UserTime()+command.ProcessState.SystemTime())
	_ = unix.Unmount(place+"/overlay", unix.MNT_DETACH) // Podman mounts it on itself; EINVAL: not this time
	return nil
}

func syncDisk(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

// serveImage starts a registry with the image and returns its name.
func serveImage(b *testing.B) string {
	b.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	b.Cleanup(server.Close)
	const layers, size = 8, 25 << 20
	img := v1.Image(empty.Image)
	for i := range layers {
		content := layerContent(b, uint64(i), size)
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
		if err != nil {
			b.Fatal(err)
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			b.Fatal(err)
		}
	}
	config, err := img.ConfigFile()
	if err != nil {
		b.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	if img, err = mutate.ConfigFile(img, config); err != nil {
		b.Fatal(err)
	}
	reference := strings.TrimPrefix(server.URL, "http://") + "/bench/image:1"
	ref, err := name.ParseReference(reference)
	if err != nil {
		b.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		b.Fatal(err)
	}
	return reference
}

// layerContent is an archive as distributions' are: many small files and a few large ones, of words and of bytes
// that do not compress, in directories of some dozens.
func layerContent(b *testing.B, seed uint64, size int) []byte {
	b.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	words := make([]string, 4096)
	for i := range words {
		words[i] = fmt.Sprintf("%x ", random.Uint64()>>random.IntN(48))
	}
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	for n := 0; out.Len() < size; n++ {
		length := 1<<10 + random.IntN(24<<10)
		if n%64 == 63 {
			length = 4 << 20
		}
		content := make([]byte, 0, length+64)
		for len(content) < length {
			content = append(content, words[random.IntN(len(words))]...)
			if random.IntN(4) == 0 {
				for range 3 {
					content = fmt.Appendf(content, "%s", []byte{byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32())})
				}
			}
		}
		if n%32 == 0 {
			header := &tar.Header{Typeflag: tar.TypeDir, Name: fmt.Sprintf("usr/lib/%d/%d/", seed, n/32), Mode: 0o755}
			if err := archive.WriteHeader(header); err != nil {
				b.Fatal(err)
			}
		}
		header := &tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("usr/lib/%d/%d/file%d", seed, n/32, n), Mode: 0o644, Size: int64(length)}
		if err := archive.WriteHeader(header); err != nil {
			b.Fatal(err)
		}
		if _, err := archive.Write(content[:length]); err != nil {
			b.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}
