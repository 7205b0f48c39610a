//go:build linux

package web

import (
	"cmp"
	"os"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// mostRows is how many rows of a tree a page gets. A container may have thousands of mounts or processes, and
// nobody reads them from a wall.
const mostRows = 400

// mounts reads those of a container's mount namespace, as its first process sees them.
func (m *machine) mounts(id string) (Mounts, error) {
	_, pid, err := m.find(id)
	if err != nil {
		return Mounts{}, err
	}
	file, err := os.Open(proc(pid, "mountinfo"))
	if err != nil {
		return Mounts{}, err
	}
	defer file.Close()
	infos, err := mountinfo.GetMountsFromReader(file, nil)
	if err != nil {
		return Mounts{}, err
	}
	return mountTree(infos), nil
}

// mountTree puts each mount behind the one it is on.
func mountTree(infos []*mountinfo.Info) (tree Mounts) {
	below, known := map[int][]*mountinfo.Info{}, map[int]bool{}
	for _, info := range infos {
		known[info.ID] = true
	}
	for _, info := range infos {
		parent := info.Parent
		if !known[parent] || parent == info.ID {
			parent = 0 // the root: what it is on is outside
		}
		below[parent] = append(below[parent], info)
	}
	var walk func(parent, depth int)
	walk = func(parent, depth int) {
		slices.SortStableFunc(below[parent], func(a, b *mountinfo.Info) int {
			return cmp.Compare(a.Mountpoint, b.Mountpoint)
		})
		for _, info := range below[parent] {
			if len(tree.Mounts) == mostRows {
				tree.More++
			} else {
				tree.Mounts = append(tree.Mounts, mountRow(info, depth))
			}
			walk(info.ID, depth+1)
		}
	}
	walk(0, 0)
	return tree
}

func mountRow(info *mountinfo.Info, depth int) Mount {
	row := Mount{
		Depth: depth, Target: info.Mountpoint, Type: info.FSType, Source: info.Source,
		Options: strings.Split(info.Options, ","),
	}
	if info.Root != "/" && info.FSType != "cgroup" && info.FSType != "cgroup2" {
		row.Source += " : " + info.Root // a bind mount of a part
	}
	if info.Optional != "" {
		row.Options = append(row.Options, strings.Fields(info.Optional)...)
	}
	if info.FSType == "overlay" {
		row.Layers = layers(info.VFSOptions)
	}
	return row
}

// layers reads those of an overlay out of its options: rw,lowerdir=/c:/b:/a,upperdir=/upper,workdir=/work. Since
// Linux 6.8 each lower one may have an option of its own, lowerdir+=/c.
func layers(options string) (list []Layer) {
	for option := range strings.SplitSeq(options, ",") {
		key, value, _ := strings.Cut(option, "=")
		switch key {
		case "upperdir":
			list = slices.Insert(list, 0, Layer{"upper", value})
		case "lowerdir":
			for dir := range strings.SplitSeq(value, ":") {
				list = append(list, Layer{"lower", dir})
			}
		case "lowerdir+":
			list = append(list, Layer{"lower", value})
		}
	}
	return list
}
