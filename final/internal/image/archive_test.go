//go:build linux

package image

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
)

func TestSaveAndLoad(t *testing.T) {
	s := openStore(t)
	one := imported(t, s, "one:1", "1", `CMD ["sh"]`)
	two := imported(t, s, "example.com/two", "2")
	if err := s.Tag("one:1", "again"); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{DockerArchive, OCIArchive, OCIDir} {
		t.Run(format, func(t *testing.T) {
			there := openStore(t)
			var loaded []*Image
			var err error
			references := []string{"one:1", "again", "example.com/two"}
			if format == OCIDir {
				dir := t.TempDir()
				if err := s.SaveDir(dir, references...); err != nil {
					t.Fatal(err)
				}
				loaded, err = there.LoadDir(dir)
			} else {
				var out, zipped bytes.Buffer
				if err := s.Save(&out, format, references...); err != nil {
					t.Fatal(err)
				}
				z := gzip.NewWriter(&zipped)
				_, writeErr := z.Write(out.Bytes())
				if err := errors.Join(writeErr, z.Close()); err != nil {
					t.Fatal(err)
				}
				loaded, err = there.Load(&zipped)
			}
			if err != nil || len(loaded) != 2 {
				t.Fatalf("loaded %v, %v; want two images", loaded, err)
			}
			for name, img := range map[string]*Image{"one:1": one, "again": one, "example.com/two": two} {
				if found, err := there.Find(name); err != nil || found.ID != img.ID {
					t.Errorf("%s: %v, %v; want %s", name, found, err, img.ID)
				}
			}
			wantFile(t, there, loaded[0], "a", "1")
			tidy(t, there)
		})
	}
	var none bytes.Buffer
	if err := s.Save(&none, OCIArchive, "nothing"); !IsNotFound(err) || none.Len() > 0 {
		t.Errorf("save what is not there: %v, and %d bytes; want none", err, none.Len())
	}
}

func TestLoadRefuses(t *testing.T) {
	s := openStore(t)
	good := imported(t, s, "one", "1")
	var saved bytes.Buffer
	if err := s.Save(&saved, DockerArchive, "one"); err != nil {
		t.Fatal(err)
	}
	spoiled := bytes.Replace(saved.Bytes(), []byte(`"architecture"`), []byte(`"Architecture"`), 1) // in the configuration
	for name, tt := range map[string]struct {
		archive []byte
		want    string
	}{
		"text":                   {[]byte("this is no archive"), ""},
		"a root file system":     {archive(t, dir("etc"), file("etc/passwd", "")), "final import"},
		"half an archive":        {saved.Bytes()[:saved.Len()/2], ""},
		"a changed blob":         {spoiled, "digest"},
		"a layer that is none":   {archive(t, file("manifest.json", `[{"Config":"c","Layers":["../../etc/passwd"]}]`), file("c", "{}")), `"../../etc/passwd" is not in`},
		"links in a circle":      {archive(t, file("manifest.json", `[{"Config":"a"}]`), symlink("a", "b"), symlink("b", "a")), `"a" is not in`},
		"a manifest of nonsense": {archive(t, file("manifest.json", `{`)), "manifest.json"},
	} {
		there := openStore(t)
		if images, err := there.Load(bytes.NewReader(tt.archive)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, %v; want an error with %q", name, images, err, tt.want)
		}
		if images, err := there.List(); err != nil || len(images) > 0 {
			t.Errorf("%s: images %v, %v; want none", name, images, err)
		}
	}
	if _, err := s.Find(good.ID); err != nil {
		t.Error(err)
	}
}

// tool finds a program of Debian's, see vagrant/provision.sh.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return path
}

// TestSkopeo has skopeo read the store as it is, and what is saved, and reads what it writes.
func TestSkopeo(t *testing.T) {
	s, f := openStore(t), newFaulty(t)
	skopeo := tool(t, "skopeo")
	img := imported(t, s, "example.com/team/tool:1", "content", `CMD ["sh"]`)
	dir := t.TempDir()
	archive, err := os.Create(dir + "/ours.tar")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Save(archive, DockerArchive, "example.com/team/tool:1"), archive.Close()); err != nil {
		t.Fatal(err)
	}
	registry := "docker://" + f.host + "/team/tool:1"
	for _, way := range [][]string{
		{"oci:" + s.images + ":example.com/team/tool:1", registry},
		{"docker-archive:" + dir + "/ours.tar", "docker-archive:" + dir + "/theirs-docker.tar:example.com/team/tool:1"},
		{"oci-archive:" + dir + "/ours.tar:example.com/team/tool:1", "oci-archive:" + dir + "/theirs-oci.tar:example.com/team/tool:1"},
		{registry, "oci:" + dir + "/theirs-oci:tool"},
	} {
		command := exec.Command(skopeo, append([]string{"--insecure-policy", "--tmpdir", dir, "copy", "--quiet",
			"--src-tls-verify=false", "--dest-tls-verify=false"}, way...)...)
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("skopeo copy %s: %v\n%s", way, err, out)
		}
	}
	want := func(from string, there *Store, found *Image, err error, name string) {
		t.Helper()
		if err != nil || !slices.Equal(found.Config.RootFS.DiffIDs, img.Config.RootFS.DiffIDs) || !slices.Contains(found.Names, name) {
			t.Errorf("%s: %+v, %v; want the image as %s", from, found, err, name)
			return
		}
		wantFile(t, there, found, "a", "content")
	}
	for from, name := range map[string]string{
		"theirs-docker.tar": "example.com/team/tool:1", "theirs-oci.tar": "example.com/team/tool:1", "theirs-oci": "docker.io/library/tool:latest",
	} {
		there := openStore(t)
		loaded, err := loadPath(there, filepath.Join(dir, from))
		if err != nil || len(loaded) != 1 {
			t.Errorf("%s: %v, %v", from, loaded, err)
			continue
		}
		want(from, there, loaded[0], nil, name)
	}
	there := openStore(t)
	pulled, err := there.Pull(t.Context(), f.host+"/team/tool:1", PullOptions{})
	want("the registry", there, pulled, err, f.host+"/team/tool:1")
}

// loadPath loads an archive or a directory.
func loadPath(s *Store, path string) ([]*Image, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return s.LoadDir(path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return s.Load(f)
}

// TestPodman carries images to Podman and back, in all of its formats.
func TestPodman(t *testing.T) {
	s := openStore(t)
	podman := tool(t, "podman")
	img := imported(t, s, "example.com/team/tool:1", "content", `CMD ["sh"]`, "ENV A=1")
	img, err := s.Commit(img, bytes.NewReader(archive(t, file("b", "2"), file(".wh.a", ""))), CommitOptions{Name: "example.com/team/tool:1", Config: img.Config.Config})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		// vfs mounts nothing, so that nothing of the machine is touched.
		all := append([]string{"--root", dir + "/root", "--runroot", dir + "/r", "--tmpdir", dir + "/t", "--storage-driver", "vfs",
			"--cgroup-manager", "cgroupfs", "--events-backend", "none"}, args...)
		if out, err := exec.Command(podman, all...).CombinedOutput(); err != nil {
			t.Fatalf("podman %s: %v\n%s", args, err, out)
		}
	}
	for _, ours := range []string{DockerArchive, OCIArchive} {
		f, err := os.Create(dir + "/ours.tar")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Save(f, ours, "example.com/team/tool:1"), f.Close()); err != nil {
			t.Fatal(err)
		}
		run("load", "--input", dir+"/ours.tar")
		for _, theirs := range []string{"docker-archive", "oci-archive", "oci-dir"} {
			out := filepath.Join(dir, ours+"-"+theirs)
			run("save", "--format", theirs, "--output", out, "example.com/team/tool:1")
			there := openStore(t)
			loaded, err := loadPath(there, out)
			if err != nil || len(loaded) != 1 {
				t.Errorf("%s, then Podman's %s: %v, %v", ours, theirs, loaded, err)
				continue
			}
			back := loaded[0]
			if !slices.Equal(back.Config.RootFS.DiffIDs, img.Config.RootFS.DiffIDs) || !slices.Equal(back.Config.Config.Cmd, []string{"sh"}) {
				t.Errorf("%s, then Podman's %s: %+v", ours, theirs, back.Config)
			}
			// oci-dir has no place for a name.
			if theirs != "oci-dir" && !slices.Equal(back.Names, []string{"example.com/team/tool:1"}) {
				t.Errorf("%s, then Podman's %s: names %q", ours, theirs, back.Names)
			}
			wantFile(t, there, back, "b", "2")
		}
		run("rmi", "--all", "--force")
	}
}
