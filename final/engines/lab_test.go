//go:build linux

package engines

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// image is the name of the lab as an image, and what ctr, which completes no names, calls it.
const image = "docker.io/library/lab:latest"

// makeLab makes in dir the program final as engines want it, final, and as people do, whole; a root file system
// of the latter, rootfs; and an image of that for all engines to load: lab.tar.
func makeLab(dir string) error {
	const program = "github.com/simple-container/simple-container/final"
	build := [][]string{
		{"go", "build", "-tags", "engine", "-o", dir + "/final", program},
		{"go", "build", "-o", dir + "/whole", program},
	}
	if whole := os.Getenv("FINAL"); inVM { // there is no go: what it would make is there
		build = [][]string{{"ln", "-s", whole + "-engine", dir + "/final"}, {"ln", "-s", whole, dir + "/whole"}}
	}
	for _, command := range append(build, [][]string{
		{dir + "/whole", "rootfs", dir + "/rootfs"},
		{"tar", "-C", dir + "/rootfs", "-cf", dir + "/layer.tar", "."},
	}...) {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%q: %w\n%s", command, err, out)
		}
	}
	defer os.Remove(dir + "/layer.tar")
	layer, err := tarball.LayerFromFile(dir+"/layer.tar", tarball.WithCompressionLevel(1))
	if err != nil {
		return err
	}
	made, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return err
	}
	file, err := made.ConfigFile()
	if err != nil {
		return err
	}
	file.OS, file.Architecture = "linux", runtime.GOARCH
	file.Config = v1.Config{Env: []string{"PATH=/bin"}, Cmd: []string{"sh"}}
	if made, err = mutate.ConfigFile(made, file); err != nil {
		return err
	}
	tag, err := name.NewTag(image)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(dir+"/lab.tar", tag, made)
}
