//go:build linux && !engine

package main

import (
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sys/unix"
)

// TestImages imports, names, lists, saves, loads and removes.
func TestImages(t *testing.T) {
	t.Parallel()
	transcript(t, `
		mkdir -p root/etc && echo text > root/etc/file
		tar -C root -c . | final import -c 'CMD ["sh"]' -c 'LABEL team=a b=2' - base:1 >/dev/null
		final tag base:1 example.com/team/tool
		echo -- list
		final images --format '{{.Repository}} {{.Tag}}'
		final images --format 'table {{.Repository}}\t{{.Tag}}' base
		final images -q | uniq | wc -c
		final images -q --no-trunc base:1 | cut -c -7
		final images --filter label=team=a --filter 'reference=*/team/*' --format '{{.Repository}}'
		final images --filter dangling=true -q
		final images --filter color=red || echo "code $?"
		echo -- save and load
		final save -o both.tar base:1 example.com/team/tool
		final save --format oci-dir -o layout base:1; ls layout
		final rmi example.com/team/tool
		final rmi base:1 | sed 's/sha256:.*/ID/'
		final images
		gzip both.tar; final load < both.tar.gz
		final rmi $(final images -q | uniq) 2>&1 | sed 's/image [0-9a-f]*/image ID/'
		final rmi -f $(final images -q | uniq) | sed 's/sha256:.*/ID/'
		final load -i layout
		echo -- use
		final run --rm lab true
		final create --name web --network none base:1 true >/dev/null
		final rmi base:1 || echo "code $?"
		final rmi -f base:1
		final rm web >/dev/null; final rmi $(final images -q --filter dangling=true) | sed 's/sha256:.*/ID/'
		echo -- mistakes
		final rmi bas:1 lub || echo "code $?"
		final rmi -f nothing
		final tag nothing some || echo "code $?"
		final tag lab UPPER || echo "code $?"
		final load -i root/etc/file || echo "code $?"
		final save --format zip lab >/dev/null || echo "code $?"
		ls -A; ls /var/lib/simple-container/images/partial /var/lib/simple-container/layers/partial
	`, `
		-- list
		base 1
		example.com/team/tool latest
		REPOSITORY   TAG
		base         1
		13
		sha256:
		example.com/team/tool
		final: images: --filter "color=red": want reference, dangling, label, before or since
		code 1
		-- save and load
		blobs
		index.json
		oci-layout
		Untagged: example.com/team/tool:latest
		Untagged: base:1
		Deleted: ID
		REPOSITORY   TAG   IMAGE ID   CREATED   SIZE
		Loaded image: base:1
		Loaded image: example.com/team/tool:latest
		final: image ID has several names: base:1, example.com/team/tool:latest: name one, or force it
		Untagged: base:1
		Untagged: example.com/team/tool:latest
		Deleted: ID
		Loaded image: base:1
		-- use
		final: image base:1 is used by container web: remove it first (final rm), or force it (rmi -f takes the names away)
		code 1
		Untagged: base:1
		Deleted: ID
		-- mistakes
		final: no such image: bas:1
		no such image: lub (did you mean lab?)
		code 1
		final: no such image: nothing
		final: no such image: nothing
		code 1
		final: image name "UPPER": a repository's name is in lower case
		code 1
		final: load: root/etc/file: it is no archive: unexpected EOF
		code 1
		final: save: --format "zip": want docker-archive, oci-archive or oci-dir
		code 1
		both.tar.gz
		layout
		root
		/var/lib/simple-container/images/partial:

		/var/lib/simple-container/layers/partial:
	`)
}

// TestPull pulls from a registry on loopback.
func TestPull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skipf("layers have owners, which needs root: %v", unix.EPERM)
	}
	t.Parallel()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	data := t.TempDir()
	final := func(args ...string) string {
		out, err := exec.Command(finalProgram(t), append([]string{"--data-root", data}, args...)...).CombinedOutput()
		text := strings.ReplaceAll(string(out), host, "HOST")
		if err != nil {
			text += fmt.Sprintln(err)
		}
		return regexp.MustCompile("[0-9a-f]{64}|[0-9a-f]{12}").ReplaceAllString(text, "HEX")
	}
	want := func(got, want string) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	}
	serveLayer(t, host+"/x:1")
	want(final("pull", host+"/x:1"), "1: Pulling from HOST/x\nHEX: Pull complete 100B\nDigest: sha256:HEX\n"+
		"Status: Downloaded newer image for HOST/x:1\nHOST/x:1\n")
	want(final("pull", host+"/x:1"), "1: Pulling from HOST/x\nHEX: Already exists\nDigest: sha256:HEX\n"+
		"Status: Image is up to date for HOST/x:1\nHOST/x:1\n")
	want(final("pull", "-q", host+"/x:1"), "HOST/x:1\n")
	want(final("images", "--digests", "--format", "{{.Repository}} {{.Tag}} {{.Digest}}"), "HOST/x 1 sha256:HEX\n")
	want(final("pull", host+"/x"), "latest: Pulling from HOST/x\nfinal: pull HOST/x:latest: manifest unknown: "+
		"HOST/x has no such tag or digest\nexit status 1\n")
	want(final("pull", "--platform", "linux/s390x", host+"/x:1"), "1: Pulling from HOST/x\nfinal: pull HOST/x:1: "+
		"the image is for linux/"+runtime.GOARCH+", not for linux/s390x\nexit status 1\n")
	want(final("pull"), "final: pull: 0 arguments: want: final pull NAME[:TAG|@DIGEST]\nexit status 1\n")
}

// serveLayer pushes an image of one layer.
func serveLayer(t *testing.T, reference string) {
	t.Helper()
	img, err := crane.Image(map[string][]byte{"a": []byte("content")})
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		t.Fatal(err)
	}
}
