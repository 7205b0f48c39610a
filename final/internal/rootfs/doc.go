// Package rootfs adds a container's file system tree to the plan: mounts in the order of the spec, device
// nodes, masked and read-only paths, propagation, and pivot_root.
//
// Every target is resolved within the container's root, by descriptors and never by path strings, because
// the image may put a symbolic link in the way. It may import the packages of the executors, whose calls it
// lists, and kernel for probes. Step 02 shows the idea (rootfs.go).
package rootfs
